// Signed notes and Merkle trees as Go's own packages have them (golang.org/x/mod/sumdb), for a spec to compare with.
//
//	note-go verify VKEY...  reads a note; prints its text, exits with 1 where it is not good
//	note-go sign NAME       reads a text; prints a verifier key, an empty line and the signed note
//	note-go trees           reads lines; prints the root of the tree over the first 1, 2, … of them in base64, and after
//	                        each root the inclusion proof of the first line
package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	check(err)
	switch os.Args[1] {
	case "verify":
		var verifiers []note.Verifier
		for _, key := range os.Args[2:] {
			verifier, err := note.NewVerifier(key)
			check(err)
			verifiers = append(verifiers, verifier)
		}
		opened, err := note.Open(input, note.VerifierList(verifiers...))
		check(err)
		fmt.Print(opened.Text)
	case "sign":
		secret, public, err := note.GenerateKey(rand.Reader, os.Args[2])
		check(err)
		signer, err := note.NewSigner(secret)
		check(err)
		signed, err := note.Sign(&note.Note{Text: string(input)}, signer)
		check(err)
		fmt.Printf("%s\n\n%s", public, signed)
	case "trees":
		var stored []tlog.Hash
		read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			hashes := make([]tlog.Hash, len(indexes))
			for i, index := range indexes {
				hashes[i] = stored[index]
			}
			return hashes, nil
		})
		for i, line := range strings.Split(strings.TrimSuffix(string(input), "\n"), "\n") {
			more, err := tlog.StoredHashes(int64(i), []byte(line), read)
			check(err)
			stored = append(stored, more...)
			root, err := tlog.TreeHash(int64(i+1), read)
			check(err)
			proof, err := tlog.ProveRecord(int64(i+1), 0, read)
			check(err)
			fmt.Print(root)
			for _, hash := range proof {
				fmt.Print(" ", base64.StdEncoding.EncodeToString(hash[:]))
			}
			fmt.Println()
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

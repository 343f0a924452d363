// Signed notes and Merkle trees as Go's own packages (golang.org/x/mod/sumdb) and those of transparency-dev have them, for
// a spec to compare with.
//
//	note-go verify VKEY...  reads a note; prints its text, exits with 1 where it is not good
//	note-go sign NAME       reads a text; prints a verifier key, an empty line and the signed note
//	note-go trees           reads lines; prints the root of the tree over the first 1, 2, … of them in base64, and after
//	                        each root the inclusion proof of the first line
//	note-go checkpoint ORIGIN VKEY  reads a signed checkpoint; prints its size and root, exits with 1 where it is not good
//	note-go included        reads lines of size, index, leaf hash, root and the proof's hashes, in base64; prints how many
//	                        are good, exits with 1 at one that is not
//	note-go grown           reads lines of a root in base64 and the leaf that was added last; exits with 1 where one root
//	                        is not consistent with a later one, prints how many pairs are
package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
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
		for i, line := range linesOf(input) {
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
	case "checkpoint":
		verifier, err := note.NewVerifier(os.Args[3])
		check(err)
		checkpoint, _, _, err := log.ParseCheckpoint(input, os.Args[2], verifier)
		check(err)
		fmt.Println(checkpoint.Size, base64.StdEncoding.EncodeToString(checkpoint.Hash))
	case "included":
		lines := linesOf(input)
		for _, line := range lines {
			parts := strings.Split(line, " ")
			size, err := strconv.ParseUint(parts[0], 10, 64)
			check(err)
			index, err := strconv.ParseUint(parts[1], 10, 64)
			check(err)
			var path [][]byte
			for _, hash := range parts[4:] {
				path = append(path, hashOf(hash))
			}
			check(proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, hashOf(parts[2]), path, hashOf(parts[3])))
		}
		fmt.Println(len(lines))
	case "grown":
		tree := testonly.New(rfc6962.DefaultHasher)
		pairs := 0
		var roots [][]byte
		for _, line := range linesOf(input) {
			root, leaf, _ := strings.Cut(line, " ")
			roots = append(roots, hashOf(root))
			tree.AppendData([]byte(leaf))
			later := tree.Size()
			for earlier := uint64(1); earlier <= later; earlier++ {
				path, err := tree.ConsistencyProof(earlier, later)
				check(err)
				check(proof.VerifyConsistency(rfc6962.DefaultHasher, earlier, later, path, roots[earlier-1], roots[later-1]))
				pairs++
			}
		}
		fmt.Println(pairs)
	}
}

func linesOf(input []byte) []string {
	return strings.Split(strings.TrimSuffix(string(input), "\n"), "\n")
}

func hashOf(text string) []byte {
	hash, err := base64.StdEncoding.DecodeString(text)
	check(err)
	return hash
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

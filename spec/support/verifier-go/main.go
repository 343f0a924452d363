// A second verifier of audit trails, written from docs/audit-format.md alone and sharing nothing with the product.
//
//	verifier --key VKEY [--key VKEY]... DIRECTORY
//
// Prints one line of JSON, {"records":…,"logs":…,"checkpoints":…,"faults":[…]}, and exits with 0 where there are no
// faults, 1 where there are, 2 where there is nothing to verify. With `--serve` it reads directories from standard input,
// one a line, and answers each with such a line.
//
// The numbers in the faults are those of "What a verifier checks" in docs/audit-format.md.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

type report struct {
	Records     int      `json:"records"`
	Logs        int      `json:"logs"`
	Checkpoints int      `json:"checkpoints"`
	Faults      []string `json:"faults"`
}

func main() {
	var keys []noteKey
	var directory string
	serves := false
	for at := 1; at < len(os.Args); at++ {
		switch {
		case os.Args[at] == "--serve":
			serves = true
		case os.Args[at] == "--key" && at+1 < len(os.Args):
			at++
			key, err := parseKey(os.Args[at])
			if err != nil {
				usage(err)
			}
			keys = append(keys, key)
		case directory == "":
			directory = os.Args[at]
		default:
			usage(errors.New("one directory at a time"))
		}
	}
	if len(keys) == 0 {
		usage(errors.New("give the node's key"))
	}
	if serves {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			answer(lines.Text(), keys)
		}
		return
	}
	os.Exit(answer(directory, keys))
}

func usage(err error) {
	fmt.Fprintf(os.Stderr, "%v\nusage: verifier --key VKEY [--key VKEY]... DIRECTORY\n", err)
	os.Exit(2)
}

func answer(directory string, keys []noteKey) int {
	found, err := verify(directory, keys)
	if err != nil {
		text, _ := json.Marshal(map[string]string{"error": err.Error()})
		fmt.Println(string(text))
		return 2
	}
	text, _ := json.Marshal(found)
	fmt.Println(string(text))
	if len(found.Faults) > 0 {
		return 1
	}
	return 0
}

// Directory

var segmentName = regexp.MustCompile(`^trail-([0-9]{8}-[0-9a-f]{8})-([0-9]{6})\.jsonl$`)

func verify(directory string, keys []noteKey) (report, error) {
	found := report{Faults: []string{}}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return found, err
	}
	segments := map[string][]string{}
	var names []string
	for _, entry := range entries {
		if match := segmentName.FindStringSubmatch(entry.Name()); match != nil {
			if segments[match[1]] == nil {
				names = append(names, match[1])
			}
			segments[match[1]] = append(segments[match[1]], entry.Name())
		}
	}
	if len(names) == 0 {
		return found, errors.New("there is no trail in " + directory)
	}
	sort.Strings(names)
	var before *trailLog
	for _, name := range names {
		log := &trailLog{name: name, keys: keys, open: map[string]bool{}, mono: math.Inf(-1), unsealed: math.NaN()}
		sort.Strings(segments[name])
		if err := log.read(directory, segments[name]); err != nil {
			return found, err
		}
		log.succeeds(before)
		found.Records += log.records
		found.Checkpoints += log.checkpoints
		for _, fault := range log.faults {
			found.Faults = append(found.Faults, fmt.Sprintf("%s (%s): %s", name, log.node, fault))
		}
		before = log
	}
	found.Logs = len(names)
	return found, nil
}

// Logs

type checkpoint struct {
	origin string
	size   int
	root   [32]byte
	note   string
	from   int // line of the file
}

type epoch struct {
	number int
	key    noteKey
	before checkpoint
}

type trailLog struct {
	name        string
	keys        []noteKey
	faults      []string
	records     int
	first       [32]byte // leaf hash of the start record
	last        [32]byte // leaf hash of the last record
	tree        tree
	boot, node  string
	previous    any
	hasPrevious bool
	mono        float64 // of the last record
	unsealed    float64 // of the first record no checkpoint covers; NaN where one covers all
	open        map[string]bool
	stopped     bool
	epochs      []epoch
	sealed      checkpoint // the last good one
	checkpoints int
	pending     []checkpoint
	torn        []byte // what stands after the last record
}

func (l *trailLog) fault(format string, parts ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, parts...))
}

func (l *trailLog) read(directory string, segments []string) error {
	if err := l.readCheckpoints(filepath.Join(directory, "checkpoints-"+l.name+".jsonl")); err != nil {
		return err
	}
	for at, file := range segments {
		if expected := fmt.Sprintf("trail-%s-%06d.jsonl", l.name, at+1); file != expected {
			l.fault("1: %s is missing", expected)
		}
		data, err := readRegular(filepath.Join(directory, file))
		if err != nil {
			return err
		}
		lines, torn := split(data)
		for _, line := range lines {
			l.record(line)
		}
		if len(torn) > maxTorn {
			l.fault("2: %s ends in %d bytes without a line feed", file, len(torn))
		}
		if len(lines) > 0 {
			l.torn = torn
		} else if len(torn) > 0 {
			l.torn = torn
		}
	}
	for _, one := range l.pending {
		l.fault("11: a checkpoint over %d records, and there are %d", one.size, l.records)
	}
	if l.records == 0 {
		l.fault("3: no record")
	}
	if len(l.epochs) == 0 {
		l.fault("9: no key record")
	}
	if span := l.mono - l.unsealed; span > 10_000 {
		l.fault("12: no checkpoint covers record %d and those after it, over %g ms", l.sealed.size+1, span)
	}
	return nil
}

// More without a line feed was written by nobody who writes trails.
const maxTorn = 1024 * 1024

const maxCheckpointLine = 16 * 1024
const maxSignatures = 100
const maxNesting = 1_000

// Not a pipe or a device: those may be read without end.
func readRegular(path string) ([]byte, error) {
	if status, err := os.Stat(path); err != nil {
		return nil, err
	} else if !status.Mode().IsRegular() {
		return nil, errors.New(path + " is no regular file")
	}
	return os.ReadFile(path)
}

func split(data []byte) (lines [][]byte, torn []byte) {
	for {
		end := bytes.IndexByte(data, '\n')
		if end == -1 {
			return lines, data
		}
		lines = append(lines, data[:end])
		data = data[end+1:]
	}
}

func (l *trailLog) record(line []byte) {
	at := l.records + 1
	prev := strings.Repeat("0", 64)
	if at > 1 {
		prev = hex.EncodeToString(l.last[:])
	}
	l.last = hashLeaf(line)
	if at == 1 {
		l.first = l.last
	}
	l.tree.add(l.last)
	l.records = at
	record, err := readCanonical(line)
	if err != nil || len(line) > 65_535 {
		l.fault("2: record %d is none: %v", at, err)
	} else {
		l.content(record, at, prev)
	}
	if at == 1 && l.boot == "" {
		l.fault("3: no start record")
	}
	for len(l.pending) > 0 && l.pending[0].size <= at {
		l.check(l.pending[0], at)
		l.pending = l.pending[1:]
	}
}

func (l *trailLog) content(record map[string]any, at int, prev string) {
	if record["v"] != 2.0 || record["seq"] != float64(at) || record["prev"] != prev {
		l.fault("2: record %d does not follow record %d", at, at-1)
	}
	kind, _ := record["type"].(string)
	boot, _ := record["boot"].(string)
	node, _ := record["node"].(string)
	if l.boot == "" && l.node == "" {
		l.boot, l.node = boot, node
	}
	if at == 1 {
		l.previous, l.hasPrevious = record["previous"]
		if named := keyOf(l.previous, boot); l.hasPrevious && l.name != named {
			l.fault("15: its files should be named %s", named)
		}
		if key, _ := record["node_key"].(string); kind == "start" && !l.trusts(key) {
			l.fault("7: began under a node key that is not trusted")
		}
	}
	if (kind == "start") != (at == 1) {
		l.fault("3: record %d is a %s", at, kind)
	}
	if l.stopped {
		l.fault("3: record %d follows a stop", at)
	}
	l.stopped = l.stopped || kind == "stop"
	if boot != l.boot || node != l.node || boot == "" || node == "" {
		l.fault("4: record %d is of another boot or node", at)
	}
	l.times(record, at)
	call, isCall := record["call"].(string)
	switch kind {
	case "admission":
		if !isCall || l.open[call] {
			l.fault("6: record %d admits what is admitted", at)
		}
		l.open[call] = true
	case "outcome", "list", "refusal":
		delete(l.open, call)
	case "fault":
		if record["what"] == "rollback" {
			l.fault("16: record %d: the directory was put back to an earlier state", at)
		}
	case "key":
		if err := l.keyRecord(record, at); err != nil {
			l.fault("8: record %d: %v", at, err)
		}
	}
}

// What a log's files are named, as its start record says.
func keyOf(previous any, boot string) string {
	ordinal := 1
	if previous != nil {
		before, _ := previous.(map[string]any)
		file, _ := before["file"].(string)
		match := segmentName.FindStringSubmatch(file)
		if match == nil {
			return "?"
		}
		number, _ := strconv.Atoi(match[1][:8])
		ordinal = number + 1
	}
	return fmt.Sprintf("%08d-%.8s", ordinal, boot)
}

func (l *trailLog) times(record map[string]any, at int) {
	wall, _ := record["time"].(string)
	mono, isNumber := record["mono_ms"].(float64)
	const layout = "2006-01-02T15:04:05.000Z"
	if at, err := time.Parse(layout, wall); err != nil || at.Format(layout) != wall || !isNumber {
		l.fault("5: record %d has no time", at)
		return
	}
	if mono < l.mono {
		l.fault("5: record %d is before the one before it", at)
	}
	l.mono = mono
	if math.IsNaN(l.unsealed) {
		l.unsealed = mono
	}
}

func (l *trailLog) trusts(text string) bool {
	given, err := parseKey(text)
	if err != nil {
		return false
	}
	for _, key := range l.keys {
		if key.name == given.name && key.public.Equal(given.public) {
			return true
		}
	}
	return false
}

func (l *trailLog) keyRecord(record map[string]any, at int) error {
	certificate, _ := record["certificate"].(string)
	text, by, err := openNote(certificate, l.keys)
	if err != nil {
		return err
	}
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] != "kong-mcp-suite/epoch@v1" {
		return errors.New("no certificate")
	}
	before, err := parseCheckpoint(lines[3])
	if err != nil {
		return err
	}
	key, err := parseKey(lines[2])
	if err != nil {
		return err
	}
	origin := "kong-mcp-suite/" + l.node + "/" + l.boot
	if before.origin != origin || key.name != origin {
		return errors.New("of another log")
	}
	if by.name != "kong-mcp-suite/"+l.node {
		return errors.New("certified by another node")
	}
	if lines[1] != strconv.Itoa(len(l.epochs)+1) {
		return errors.New("out of turn")
	}
	if lines[2] != record["key"] {
		return errors.New("names another key")
	}
	if before.size >= at {
		return errors.New("covers what comes after it")
	}
	taken := l.sealed
	if len(l.epochs) == 0 {
		taken = checkpoint{size: 1, root: l.first}
	}
	if before.size != taken.size || before.root != taken.root {
		return errors.New("took over another tree")
	}
	l.epochs = append(l.epochs, epoch{len(l.epochs) + 1, key, before})
	return nil
}

func (l *trailLog) readCheckpoints(path string) error {
	data, err := readRegular(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines, torn := split(data)
	l.checkpoints = len(lines)
	if len(torn) > maxTorn {
		l.fault("10: the checkpoints end in %d bytes without a line feed", len(torn))
	}
	for at, line := range lines {
		if len(line) > maxCheckpointLine {
			l.fault("10: line %d of the checkpoints is longer than any", at+1)
			continue
		}
		var members map[string]json.RawMessage
		var note *string
		if !utf8.Valid(line) || json.Unmarshal(line, &members) != nil || json.Unmarshal(members["note"], &note) != nil || note == nil {
			l.fault("10: line %d of the checkpoints is none", at+1)
			continue
		}
		end := strings.LastIndex(*note, "\n\n")
		read, err := parseCheckpoint((*note)[:end+1])
		if err != nil {
			l.fault("10: line %d of the checkpoints: %v", at+1, err)
			continue
		}
		read.note, read.from = *note, at+1
		l.pending = append(l.pending, read)
	}
	return nil
}

func (l *trailLog) check(one checkpoint, at int) {
	if one.size < at || one.size <= l.sealed.size {
		l.fault("11: checkpoint %d is out of order", one.from)
		return
	}
	var by *epoch
	for i := range l.epochs {
		if l.epochs[i].before.size < one.size {
			by = &l.epochs[i]
		}
	}
	if by == nil {
		l.fault("11: checkpoint %d came before there was a key", one.from)
		return
	}
	if _, _, err := openNote(one.note, []noteKey{by.key}); err != nil {
		l.fault("11: checkpoint %d: %v", one.from, err)
	} else if one.origin != by.key.name {
		l.fault("11: checkpoint %d is of another log", one.from)
	} else if one.root != l.tree.root() {
		l.fault("11: checkpoint %d is of other records", one.from)
	} else {
		l.sealed, l.unsealed = one, math.NaN()
	}
}

func (l *trailLog) succeeds(before *trailLog) {
	if l.hasPrevious && l.previous == nil {
		if before != nil {
			l.fault("14: names no log before it")
		}
		return
	}
	previous, isObject := l.previous.(map[string]any)
	if !isObject {
		l.fault("14: does not say what came before")
		return
	}
	if before == nil {
		l.fault("13: the log before it is missing")
		return
	}
	last := ""
	if before.records > 0 {
		last = hex.EncodeToString(before.last[:])
	}
	// In which of its segments it ended means nothing.
	file, _ := previous["file"].(string)
	named := segmentName.FindStringSubmatch(file)
	if named == nil || named[1] != before.name || previous["seq"] != float64(before.records) || previous["last"] != last {
		l.fault("14: the log before it does not end as it did")
	}
	var digest any
	if len(before.torn) > 0 {
		sum := sha256.Sum256(before.torn)
		digest = hex.EncodeToString(sum[:])
	}
	if previous["torn_bytes"] != float64(len(before.torn)) || previous["torn_sha256"] != digest {
		l.fault("14: other bytes stand after the end of the log before it")
	}
}

// Trees: RFC 6962 section 2.1

func hashLeaf(line []byte) [32]byte {
	return sha256.Sum256(append([]byte{0}, line...))
}

func hashNode(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// A tree's perfect subtrees, the largest first: all that is needed to go on, and to have its root.
type tree struct {
	sizes []int
	roots [][32]byte
}

func (t *tree) add(leaf [32]byte) {
	t.sizes, t.roots = append(t.sizes, 1), append(t.roots, leaf)
	for n := len(t.sizes); n > 1 && t.sizes[n-1] == t.sizes[n-2]; n = len(t.sizes) {
		t.roots[n-2] = hashNode(t.roots[n-2], t.roots[n-1])
		t.sizes[n-2] *= 2
		t.sizes, t.roots = t.sizes[:n-1], t.roots[:n-1]
	}
}

func (t *tree) root() [32]byte {
	if len(t.roots) == 0 {
		return sha256.Sum256(nil)
	}
	hash := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		hash = hashNode(t.roots[i], hash)
	}
	return hash
}

// Notes: c2sp.org/signed-note, c2sp.org/tlog-checkpoint

type noteKey struct {
	name   string
	id     [4]byte
	public ed25519.PublicKey
}

func isName(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

func decode(text string) ([]byte, bool) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	return data, err == nil && base64.StdEncoding.EncodeToString(data) == text
}

func parseKey(text string) (noteKey, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 || !isName(parts[0]) {
		return noteKey{}, errors.New("no verifier key")
	}
	data, ok := decode(parts[2])
	if !ok || len(data) != 33 || data[0] != 1 {
		return noteKey{}, errors.New("no Ed25519 verifier key")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), data...))
	if hex.EncodeToString(sum[:4]) != parts[1] {
		return noteKey{}, errors.New("the id is of another key")
	}
	return noteKey{parts[0], [4]byte(sum[:4]), ed25519.PublicKey(data[1:])}, nil
}

func openNote(note string, keys []noteKey) (text string, by noteKey, err error) {
	end := strings.LastIndex(note, "\n\n")
	if end == -1 || !strings.HasSuffix(note, "\n") || !utf8.ValidString(note) {
		return "", by, errors.New("no signed note")
	}
	if strings.ContainsFunc(note, func(r rune) bool { return r < 0x20 && r != '\n' }) {
		return "", by, errors.New("control characters in a note")
	}
	text = note[:end+1]
	signed := false
	lines := strings.Split(strings.TrimSuffix(note[end+2:], "\n"), "\n")
	if len(lines) > maxSignatures {
		return "", by, errors.New("too many signatures")
	}
	for _, line := range lines {
		parts := strings.Split(line, " ")
		if len(parts) != 3 || parts[0] != "—" || !isName(parts[1]) {
			return "", by, errors.New("a signature line that is none")
		}
		data, ok := decode(parts[2])
		if !ok || len(data) < 5 {
			return "", by, errors.New("a signature line that is none")
		}
		for _, key := range keys {
			if key.name != parts[1] || key.id != [4]byte(data[:4]) {
				continue
			}
			if !ed25519.Verify(key.public, []byte(text), data[4:]) {
				return "", by, errors.New("a signature that is not of this text")
			}
			if !signed {
				signed, by = true, key
			}
		}
	}
	if !signed {
		return "", by, errors.New("no known key has signed")
	}
	return text, by, nil
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,15})$`)

func parseCheckpoint(text string) (checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" || !decimal.MatchString(lines[1]) {
		return checkpoint{}, errors.New("no checkpoint")
	}
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			return checkpoint{}, errors.New("an empty line in a checkpoint")
		}
	}
	size, _ := strconv.Atoi(lines[1])
	hash, ok := decode(lines[2])
	if !ok || len(hash) != 32 {
		return checkpoint{}, errors.New("no root in a checkpoint")
	}
	return checkpoint{origin: lines[0], size: size, root: [32]byte(hash)}, nil
}

// Canonical JSON: RFC 8785. Reads nothing but the one spelling.

type reader struct {
	data []byte
	at   int
}

var errSpelling = errors.New("not canonical JSON")

func readCanonical(line []byte) (map[string]any, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("not UTF-8")
	}
	r := &reader{data: line}
	value, err := r.value(0)
	if err != nil {
		return nil, err
	}
	record, isObject := value.(map[string]any)
	if !isObject || r.at != len(line) {
		return nil, errSpelling
	}
	return record, nil
}

func (r *reader) take(text string) bool {
	if bytes.HasPrefix(r.data[r.at:], []byte(text)) {
		r.at += len(text)
		return true
	}
	return false
}

func (r *reader) value(depth int) (any, error) {
	switch {
	case r.take("null"):
		return nil, nil
	case r.take("true"):
		return true, nil
	case r.take("false"):
		return false, nil
	case r.take(`"`):
		return r.text()
	case depth >= maxNesting && (r.take("[") || r.take("{")):
		return nil, errors.New("nests too deep")
	case r.take("["):
		return r.array(depth)
	case r.take("{"):
		return r.object(depth)
	}
	return r.number()
}

func (r *reader) array(depth int) (any, error) {
	items := []any{}
	if r.take("]") {
		return items, nil
	}
	for {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if r.take("]") {
			return items, nil
		}
		if !r.take(",") {
			return nil, errSpelling
		}
	}
}

func (r *reader) object(depth int) (any, error) {
	members := map[string]any{}
	if r.take("}") {
		return members, nil
	}
	var before []uint16
	for first := true; ; first = false {
		if !r.take(`"`) {
			return nil, errSpelling
		}
		name, err := r.text()
		if err != nil || !r.take(":") {
			return nil, errSpelling
		}
		units := utf16.Encode([]rune(name))
		if !first && !less(before, units) {
			return nil, errors.New("keys out of order, or twice")
		}
		before = units
		if members[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
		if r.take("}") {
			return members, nil
		}
		if !r.take(",") {
			return nil, errSpelling
		}
	}
}

func less(one, other []uint16) bool {
	for i := range min(len(one), len(other)) {
		if one[i] != other[i] {
			return one[i] < other[i]
		}
	}
	return len(one) < len(other)
}

var short = map[byte]byte{'"': '"', '\\': '\\', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (r *reader) text() (string, error) {
	var text []byte
	for r.at < len(r.data) {
		c := r.data[r.at]
		r.at++
		switch {
		case c == '"':
			return string(text), nil
		case c < 0x20:
			return "", errSpelling
		case c != '\\':
			text = append(text, c)
			continue
		}
		if r.at >= len(r.data) {
			break
		}
		escape := r.data[r.at]
		r.at++
		if meant, ok := short[escape]; ok {
			text = append(text, meant)
			continue
		}
		// \u00xx, for what has no shorter escape and needs one.
		if escape != 'u' || r.at+4 > len(r.data) {
			break
		}
		digits := string(r.data[r.at : r.at+4])
		r.at += 4
		code, err := strconv.ParseUint(digits, 16, 16)
		if err != nil || code >= 0x20 || digits != fmt.Sprintf("%04x", code) || bytes.IndexByte([]byte("\b\f\n\r\t"), byte(code)) != -1 {
			break
		}
		text = append(text, byte(code))
	}
	return "", errSpelling
}

var number = regexp.MustCompile(`^-?[0-9][0-9.]*(e[+-][0-9]+)?`)

func (r *reader) number() (any, error) {
	spelled := string(number.Find(r.data[r.at:]))
	value, err := strconv.ParseFloat(spelled, 64)
	if err != nil || ecmascript(value) != spelled {
		return nil, errSpelling
	}
	r.at += len(spelled)
	return value, nil
}

// Number::toString of ECMAScript, as RFC 8785 section 3.2.2.3 asks for.
func ecmascript(value float64) string {
	if value == 0 {
		return "0"
	}
	if size := math.Abs(value); size >= 1e21 || size < 1e-6 {
		text := strconv.FormatFloat(value, 'e', -1, 64)
		mantissa, exponent, _ := strings.Cut(text, "e")
		return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}

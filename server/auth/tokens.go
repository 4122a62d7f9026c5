package auth

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// Bounds of a file of tokens.
const (
	// MaxFile is how long it may be in bytes.
	MaxFile = 1 << 20
	maxLine = 8 << 10
	// maxName is how long a principal's name may be in bytes.
	maxName        = 128
	maxCredentials = 8
	maxTransforms  = 64
	maxRate        = 1e6
	maxErrors      = 10 // that are told together
)

// credentialCert stands in the place of a hash for a certificate of the principal's name.
const credentialCert = "cert"

// Entry is a line of a file of tokens: who somebody is, how they show it, and what they may do.
type Entry struct {
	Grant

	// Line is where it stands, from 1.
	Line int
	// Tokens is how many tokens it has. Certificate is whether a client certificate of its name will
	// do.
	Tokens      int
	Certificate bool

	hashes []hash
}

// LineError is what is wrong with a line of a file of tokens. It has nothing that could be a token.
type LineError struct {
	// Line counts from 1.
	Line int
	// Field is the part of the line: name, hash, or a key such as scopes.
	Field string
	// Rule says what it must be.
	Rule string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s: %s", e.Line, e.Field, e.Rule) }

// Parse reads a file of tokens, a line each:
//
//	NAME HASH scopes=call,read [tenant=NAME] [transforms=cascade,tick.*] [rate=100/s] [burst=200] [priority=urgent]
//
// Blank lines and what follows a # at the beginning of a word are left out. The error is of one
// [*LineError] or several.
func Parse(b []byte) ([]Entry, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("is longer than %d bytes", MaxFile)
	}
	text, err := foreign.UTF8(b)
	if err != nil {
		return nil, err
	}
	p := parser{names: make(map[string]int), hashes: make(map[hash]int)}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		p.line(n, line)
		if len(p.errs) >= maxErrors {
			break
		}
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	return p.entries, nil
}

// parser has what was read of a file.
type parser struct {
	entries []Entry
	names   map[string]int // lines of names
	hashes  map[hash]int   // and of hashes
	errs    []error
}

func (p *parser) line(n int, line []byte) {
	fault := func(field, rule string) {
		p.errs = append(p.errs, &LineError{Line: n, Field: field, Rule: rule})
	}
	switch {
	case len(line) > maxLine:
		fault("line", fmt.Sprintf("is longer than %d bytes", maxLine))
		return
	case !utf8.Valid(line):
		fault("line", "is not UTF-8")
		return
	}
	words := strings.Fields(string(line))
	if i := slices.IndexFunc(words, func(w string) bool { return w[0] == '#' }); i >= 0 {
		words = words[:i]
	}
	if len(words) == 0 {
		return
	}
	e, err := parseEntry(n, words)
	if err != nil {
		p.errs = append(p.errs, err)
		return
	}
	if before := p.names[e.Name]; before > 0 {
		fault("name", fmt.Sprintf("%s is there already, in line %d; several hashes of one stand side by side, with commas", e.Name, before))
		return
	}
	for _, h := range e.hashes {
		if before := p.hashes[h]; before > 0 {
			fault("hash", fmt.Sprintf("is there already, in line %d", before))
			return
		}
		p.hashes[h] = n
	}
	p.names[e.Name] = n
	p.entries = append(p.entries, e)
}

// parseEntry reads the words of a line, of which there is one at least.
func parseEntry(n int, words []string) (Entry, error) {
	e := Entry{Line: n, Grant: Grant{Name: words[0]}}
	if rule := CheckName(e.Name); rule != "" {
		return e, &LineError{n, "name", rule}
	}
	if len(words) < 2 {
		return e, &LineError{n, "hash", "is missing after the name; resonhost token new prints a line with one"}
	}
	if rule := e.setCredentials(words[1]); rule != "" {
		return e, &LineError{n, "hash", rule}
	}
	var seen []string
	for _, w := range words[2:] {
		key, value, ok := strings.Cut(w, "=")
		switch {
		case !slices.Contains(entryKeys, key):
			return e, &LineError{n, shown(key), "is not a known key" + spell.DidYouMean(key, entryKeys) + spell.ThereAre(entryKeys)}
		case !ok || value == "":
			return e, &LineError{n, key, "has no value; write " + key + "=VALUE, without spaces"}
		case slices.Contains(seen, key):
			return e, &LineError{n, key, "is there twice"}
		}
		seen = append(seen, key)
		if rule := e.Set(key, value); rule != "" {
			return e, &LineError{n, key, rule}
		}
	}
	if err := e.finish(); err != nil {
		err.Line = n
		return e, err
	}
	return e, nil
}

// entryKeys are what a line has after the hash.
var entryKeys = []string{"scopes", "tenant", "transforms", "rate", "burst", "priority"}

// Set sets what a key of a line stands for. It returns the rule that the value breaks, "" if none.
func (g *Grant) Set(key, value string) (rule string) {
	switch key {
	case "scopes":
		g.Scopes, rule = ParseScopes(value)
	case "tenant":
		rule = g.setTenant(value)
	case "transforms":
		g.Transforms, rule = parseTransforms(value)
	case "rate":
		g.Rate, rule = parseRate(value)
	case "burst":
		n, err := strconv.Atoi(value)
		if g.Burst = n; err != nil || n < 1 || n > maxRate {
			rule = "must be a whole number from 1 to 1000000"
		}
	case "priority":
		if g.Urgent = value == "urgent"; !g.Urgent && value != "normal" {
			rule = "must be normal or urgent, the highest that its jobs may have"
		}
	}
	return rule
}

// finish checks a line as a whole, and sets what it leaves out.
func (g *Grant) finish() *LineError {
	switch {
	case len(g.Scopes) == 0:
		return &LineError{Field: "scopes", Rule: "is missing; write scopes=call,read or which of call, read, admin it has"}
	case g.Burst > 0 && g.Rate == 0:
		return &LineError{Field: "burst", Rule: "has no effect without rate"}
	case g.Rate > 0 && g.Burst == 0:
		g.Burst = max(1, int(math.Ceil(g.Rate)))
	}
	if g.Tenant == "" {
		g.Tenant = g.Name
	}
	return nil
}

// CheckName returns the rule that a principal's name breaks, "" if none.
func CheckName(name string) (rule string) {
	switch {
	case strings.Contains(name, tokenPrefix):
		return "looks like a token; a line begins with a name, and has the token's hash after it"
	case name == "" || len(name) > maxName:
		return fmt.Sprintf("must have 1 to %d characters", maxName)
	case strings.Trim(name, nameChars) != "" || !isAlphanumeric(name[0]):
		return "must have letters, digits and ._-@:/+ only, and begin with a letter or digit"
	}
	return ""
}

const (
	alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	nameChars    = alphanumeric + "._-@:/+"
)

func isAlphanumeric(c byte) bool { return strings.IndexByte(alphanumeric, c) >= 0 }

// setCredentials reads hashes with commas between, or cert.
func (e *Entry) setCredentials(list string) (rule string) {
	words := strings.Split(list, ",")
	if len(words) > maxCredentials {
		return fmt.Sprintf("has more than %d entries", maxCredentials)
	}
	for _, w := range words {
		if w == credentialCert {
			e.Certificate = true
			continue
		}
		digits, ok := strings.CutPrefix(w, hashPrefix)
		var h hash
		switch {
		case strings.Contains(w, tokenPrefix): // which the error must not show
			return "is a token itself; put its hash here, and the token nowhere but where it is used"
		case !ok:
			return "must be sha256: and 64 hexadecimal digits, or cert for a client certificate of this name; resonhost token new prints one"
		case len(digits) != 2*len(h):
			return fmt.Sprintf("must have 64 hexadecimal digits after sha256:, has %d characters", len(digits))
		}
		if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
			return "must have nothing but hexadecimal digits after sha256:"
		}
		e.hashes = append(e.hashes, h)
	}
	e.Tokens = len(e.hashes)
	return ""
}

// ParseScopes reads scopes with commas between. It returns the rule that they break, "" if none.
func ParseScopes(list string) (scopes []Scope, rule string) {
	var known []string
	for _, s := range Scopes() {
		known = append(known, string(s))
	}
	for w := range strings.SplitSeq(list, ",") {
		switch {
		case !slices.Contains(known, w):
			return nil, fmt.Sprintf("%s is no scope%s%s", shown(w), spell.DidYouMean(w, known), spell.ThereAre(known))
		case slices.Contains(scopes, Scope(w)):
			return nil, w + " is there twice"
		}
		scopes = append(scopes, Scope(w))
	}
	return scopes, ""
}

func (g *Grant) setTenant(name string) (rule string) {
	switch {
	case name == "*":
		g.AnyTenant = true
		return ""
	case strings.Contains(name, tokenPrefix):
		return "looks like a token"
	case strings.Contains(name, "*"):
		return "must be a name, or * alone for the tenant that each request names"
	case len(name) > host.MaxTenant:
		return fmt.Sprintf("must have at most %d bytes, has %d", host.MaxTenant, len(name))
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "must have characters that can be printed only"
	}
	g.Tenant = name
	return ""
}

func parseTransforms(list string) (patterns []string, rule string) {
	for w := range strings.SplitSeq(list, ",") {
		name := strings.TrimSuffix(w, "*")
		if w == "" || len(w) > maxName || strings.Trim(name, alphanumeric+"._-") != "" {
			return nil, "must be names of transforms with commas between, of which one may end in *: " + shown(w) + " is none"
		}
		patterns = append(patterns, w)
	}
	if len(patterns) > maxTransforms {
		return nil, fmt.Sprintf("must have at most %d names, has %d", maxTransforms, len(patterns))
	}
	return patterns, ""
}

// parseRate reads a number of tasks for a unit of time, as tasks a second.
func parseRate(text string) (perSecond float64, rule string) {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(number, 64)
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	// The quotient of a number that is next to none is 0, which would be no limit at all.
	if err != nil || seconds == 0 || !(n/seconds > 0 && n <= maxRate) {
		return 0, "must be a number of tasks for a second, a minute or an hour, such as 100/s, 30/m or 5/h"
	}
	return n / seconds, ""
}

// shown is a word of a file in an error, unless it could be a token.
func shown(word string) string {
	if word == "" {
		return "an empty word"
	}
	if strings.Contains(word, tokenPrefix) {
		return "a word that looks like a token"
	}
	q := strconv.QuoteToGraphic(foreign.Cut(word))
	return q[1 : len(q)-1]
}

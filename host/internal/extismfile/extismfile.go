// Package extismfile reads a manifest of Extism's, NAME.json in a plugin directory, as what this host
// has in its stead: a binary, and a companion file (package companion).
package extismfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/strictjson"
)

// Suffix ends the name of a manifest's file.
const Suffix = ".json"

// file is a manifest. Members that Extism does not have are errors there too.
type file struct {
	WASM         []wasm          `json:"wasm"`
	Memory       memory          `json:"memory"`
	Config       json.RawMessage `json:"config"`
	AllowedHosts []string        `json:"allowed_hosts"`
	AllowedPaths json.RawMessage `json:"allowed_paths"`
	TimeoutMS    json.RawMessage `json:"timeout_ms"`
}

type wasm struct {
	Path    string          `json:"path"`
	Data    json.RawMessage `json:"data"`
	Hash    string          `json:"hash"`
	Name    string          `json:"name"`
	URL     string          `json:"url"`
	Method  string          `json:"method"`
	Headers json.RawMessage `json:"headers"`
}

type memory struct {
	MaxPages             json.RawMessage `json:"max_pages"`
	MaxHTTPResponseBytes json.RawMessage `json:"max_http_response_bytes"`
	MaxVarBytes          json.RawMessage `json:"max_var_bytes"`
}

// Files returns the paths that a document names, relative to its directory. It is false for one that
// is no manifest: a JSON object without "wasm". The error says what is wrong with the document, apart
// from the files: it may be half-written. Some paths may be known all the same. They are nil if it cannot be
// told whether there are any.
func Files(doc []byte) (paths []string, ok bool, err error) {
	if !json.Valid(doc) {
		return nil, bytes.Contains(doc, []byte(`"wasm"`)), errors.New("is not valid JSON")
	}
	var m map[string]json.RawMessage
	_ = json.Unmarshal(doc, &m) // which an array is not
	if m["wasm"] == nil {
		return nil, false, nil
	}
	_, _, err = parse(doc)
	paths = []string{}
	var all []struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(m["wasm"], &all) != nil {
		return nil, true, err
	}
	for _, w := range all {
		if len(paths) < maxFiles && w.Path != "" && filepath.IsLocal(w.Path) {
			paths = append(paths, w.Path)
		}
	}
	return paths, true, err
}

// Doubt says of a document that is no manifest why it may have been meant to be one: it is cut off, or
// has members of a manifest without "wasm". It is "" of others, such as a task's input.
func Doubt(doc []byte) string {
	doc = bytes.TrimSpace(doc)
	if len(doc) == 0 {
		return "it is empty: write a manifest of Extism's, or take it away"
	}
	if doc[0] != '{' {
		return ""
	}
	var m map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(doc)).Decode(&m); err != nil { // what follows the first value, as in JSON lines, does not matter
		return fmt.Sprintf("it is not valid JSON (%v): mend it if it is a manifest of Extism's, or take it away", err)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if spell.Nearest(name, []string{"wasm"}) != "" {
			return fmt.Sprintf(`it has %q and no "wasm", by which a manifest of Extism's is known: call the member "wasm"`, name)
		}
	}
	for _, name := range []string{"allowed_hosts", "allowed_paths"} {
		if m[name] != nil {
			return fmt.Sprintf(`it has %q and no "wasm", by which a manifest of Extism's is known: name the binary in "wasm"`, name)
		}
	}
	return ""
}

// maxFiles is of how many files of a manifest's a directory is asked.
const maxFiles = 16

// Read returns the binary and the companion file that a manifest stands for. Files has, by their
// paths, those of [Files] that exist. Its errors name the member at fault.
func Read(doc []byte, files map[string][]byte) (binary, companion []byte, err error) {
	m, companion, err := parse(doc)
	if err != nil {
		return nil, nil, err
	}
	if binary, err = m.WASM[0].read(files); err != nil {
		return nil, nil, fmt.Errorf("wasm[0]%w", err)
	}
	return binary, companion, nil
}

// parse returns what needs no files: a manifest of one module, and the companion file.
func parse(doc []byte) (m file, companion []byte, err error) {
	if err := strictjson.Unmarshal(doc, &m); err != nil {
		return file{}, nil, err
	}
	switch {
	case len(m.WASM) == 0:
		return file{}, nil, errors.New("wasm: names no module")
	case len(m.WASM) > 1:
		return file{}, nil, fmt.Errorf("wasm: names %d modules, and this host links none to another: merge them into one by Binaryen's wasm-merge, and their memories by wasm-opt --multi-memory-lowering", len(m.WASM))
	case given(m.AllowedPaths) && string(m.AllowedPaths) != "{}":
		return file{}, nil, errors.New("allowed_paths: a plugin of this host has no files")
	}
	companion, err = m.companion()
	return m, companion, err
}

// given reports whether a member is there. Encoders of other languages write null for one that is not.
func given(member json.RawMessage) bool { return len(member) > 0 && string(member) != "null" }

// read returns the binary. Its errors begin with what follows the path of the member.
func (w *wasm) read(files map[string][]byte) (binary []byte, err error) {
	switch {
	case w.URL != "" || w.Method != "" || given(w.Headers):
		return nil, errors.New(".url: a host takes plugins from its directory alone: put the file there, and name it by path")
	case w.Path != "" && given(w.Data):
		return nil, errors.New(" has path and data, of which one is enough")
	case w.Path != "":
		if !filepath.IsLocal(w.Path) {
			return nil, fmt.Errorf(".path: %.200q does not lie in the directory of the manifest", w.Path)
		}
		var ok bool
		if binary, ok = files[w.Path]; !ok {
			return nil, fmt.Errorf(".path: there is no file %.200q", w.Path)
		}
	case given(w.Data):
		var text string
		if err := json.Unmarshal(w.Data, &text); err != nil {
			return nil, errors.New(".data: must be the binary in base64")
		}
		if binary, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, fmt.Errorf(".data: %w", err)
		}
	default:
		return nil, errors.New(" has neither path nor data")
	}
	sum := sha256.Sum256(binary)
	if got := hex.EncodeToString(sum[:]); w.Hash != "" && !strings.EqualFold(w.Hash, got) {
		return nil, fmt.Errorf(".hash: is %.100s, and the SHA-256 of the binary is %s", w.Hash, got)
	}
	return binary, nil
}

// companion returns the companion file, in the part of YAML that is JSON.
func (m *file) companion() ([]byte, error) {
	out := map[string]any{"kind": "extism"}
	if given(m.Config) {
		var config map[string]string
		if err := json.Unmarshal(m.Config, &config); err != nil {
			return nil, errors.New("config: must be an object of strings")
		}
		out["config"] = config
	}
	if len(m.AllowedHosts) > 0 {
		out["allowed_hosts"] = m.AllowedHosts
	}
	for _, n := range []struct {
		member, key string
		value       json.RawMessage
	}{
		{"timeout_ms", "timeout_ms", m.TimeoutMS},
		{"memory.max_pages", "max_pages", m.Memory.MaxPages},
		{"memory.max_http_response_bytes", "max_response_bytes", m.Memory.MaxHTTPResponseBytes},
		{"memory.max_var_bytes", "max_variable_bytes", m.Memory.MaxVarBytes},
	} {
		if !given(n.value) {
			continue
		}
		var v uint32
		if err := json.Unmarshal(n.value, &v); err != nil {
			return nil, fmt.Errorf("%s: must be a number from 0 to 4294967295", n.member)
		}
		out[n.key] = v
	}
	var doc bytes.Buffer
	e := json.NewEncoder(&doc)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return doc.Bytes(), err
}

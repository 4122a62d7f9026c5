package differ

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// caseSection is the custom section that says how a module is called, as JSON.
const caseSection = "resonhost_case"

type caseInfo struct {
	About   string `json:"about"`
	Calls   []call `json:"calls"`
	Results string `json:"results"` // their kinds
	Globals string `json:"globals"`
	// Wrong are the architectures for which the compiler is wrong unless the host guards guests.
	Wrong []string `json:"wrong"`
}

// encodeCase is a module that says of itself what it is, how it is to be called, and for which
// architectures the compiler is wrong.
func encodeCase(m *module, about string, wrong ...string) ([]byte, error) {
	info, err := json.Marshal(caseInfo{about, m.calls, letters(m.results), letters(m.globals), wrong})
	if err != nil {
		return nil, err
	}
	content := append(text(caseSection), info...)
	return append(append(append([]byte(nil), m.wasm...), append([]byte{0}, u32(len(content))...)...), content...), nil
}

// decodeCase is the inverse of encodeCase. The section is the last one.
func decodeCase(wasm []byte) (*module, *caseInfo, error) {
	for at := 8; at < len(wasm); {
		size, n := binary.Uvarint(wasm[at+1:])
		from := at + 1 + n
		if n <= 0 || size > uint64(len(wasm)-from) {
			break
		}
		content := wasm[from : from+int(size)]
		name := text(caseSection)
		if wasm[at] != 0 || len(content) < len(name) || !bytes.Equal(content[:len(name)], name) {
			at = from + int(size)
			continue
		}
		info := new(caseInfo)
		if err := json.Unmarshal(content[len(name):], info); err != nil {
			return nil, nil, fmt.Errorf("section %s: %w", caseSection, err)
		}
		return &module{wasm: wasm[:at], calls: info.Calls, results: kinds(info.Results), globals: kinds(info.Globals)}, info, nil
	}
	return nil, nil, errNoCase
}

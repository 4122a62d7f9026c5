//go:build wasip1

// Command extism-go is a plugin of Extism's, made with its kit for Go. What it does is what the
// tests of kinds want.
package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/extism/go-pdk"
)

//go:wasmexport echo
func echo() int32 {
	pdk.Output(pdk.Input())
	return 0
}

//go:wasmexport count_vowels
func countVowels() int32 {
	n := 0
	for _, r := range pdk.InputString() {
		if strings.ContainsRune("aeiouAEIOU", r) {
			n++
		}
	}
	if err := pdk.OutputJSON(map[string]int{"count": n}); err != nil {
		pdk.SetError(err)
		return 1
	}
	return 0
}

var before []string

// leave answers with what it finds of a task before it, and leaves something.
//
//go:wasmexport leave
func leave() int32 {
	found := append([]string{}, before...)
	before = append(before, "memory")
	if pdk.GetVar("left") != nil {
		found = append(found, "variable")
	}
	pdk.SetVar("left", []byte("x"))
	pdk.OutputString(strings.Join(found, " "))
	return 0
}

// count adds up in a variable how many bytes its tasks had.
//
//go:wasmexport count
func count() int32 {
	total := pdk.GetVarInt("total") + len(pdk.Input())
	pdk.SetVarInt("total", total)
	return answer(json.Marshal(total))
}

//go:wasmexport config
func config() int32 {
	value, ok := pdk.GetConfig(pdk.InputString())
	if !ok {
		pdk.SetErrorString("there is no such key")
		return 1
	}
	pdk.OutputString(value)
	return 0
}

//go:wasmexport log
func log() int32 {
	pdk.Log(pdk.LogWarn, pdk.InputString())
	return 0
}

//go:wasmexport http
func http() int32 {
	r := pdk.NewHTTPRequest(pdk.MethodPost, pdk.InputString())
	r.SetHeader("X-Mine", "mine").SetBody([]byte("body"))
	got := r.Send()
	return answer(json.Marshal(map[string]any{"status": got.Status(), "two": got.Headers()["x-two"], "body": string(got.Body())}))
}

func answer(output []byte, err error) int32 {
	if err != nil {
		pdk.SetError(err)
		return 1
	}
	pdk.Output(output)
	return 0
}

//go:wasmexport trap
func trap() int32 { panic("out of luck") }

//go:wasmexport exit
func exit() int32 {
	os.Exit(3)
	return 0
}

//go:wasmexport spin
func spin() int32 {
	for n := 0; ; n++ {
		turns = n
	}
}

var (
	turns int
	all   [][]byte
)

// grow takes memory behind the kit's offsets until there is none, and then its own.
//
//go:wasmexport grow
func grow() int32 {
	for at := pdk.Allocate(1 << 20); at.Offset() != 0; {
		at = pdk.Allocate(1 << 20)
	}
	for {
		all = append(all, make([]byte, 1<<20))
	}
}

func main() {}

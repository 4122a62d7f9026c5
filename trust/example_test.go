package trust_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/resonhost/resonhost/trust"
)

func ExampleReadKeys() {
	keys, err := trust.ReadKeys("testdata/minisign") // its files *.pub
	fmt.Println(keys.IDs(), err)
	// Output:
	// [B2D95CABA81A9261 13290D64F7EA407F] <nil>
}

func ExampleParseKeys() {
	keys, err := trust.ParseKeys([]byte(`
# Who releases plugins.
RWRhkhqoq1zZsj0mrOXk2xXbmgthAvSNHQ6jRu9LGFu1v3xSx9/DKILc
`))
	fmt.Println(keys.IDs(), err)
	_, err = trust.ParseKeys([]byte("# Nobody yet."))
	fmt.Println(err)
	// Output:
	// [B2D95CABA81A9261] <nil>
	// has no keys
}

func ExampleKeys_Verify() {
	keys, err := trust.ReadKeys("testdata/minisign/first.pub")
	if err != nil {
		fmt.Println(err)
		return
	}
	plugin := trust.Files{Name: "echo.wasm", Beside: map[string][]byte{}}
	for _, name := range []string{"echo.wasm", "echo.test.ndjson", "SHA256SUMS", "SHA256SUMS.minisig"} {
		contents, err := os.ReadFile(filepath.Join("testdata", "minisign", name))
		if err != nil {
			fmt.Println(err)
			return
		}
		plugin.Beside[name] = contents
	}
	plugin.WASM = plugin.Beside["echo.wasm"]

	signature, err := keys.Verify(plugin)
	fmt.Println(signature.KeyID, signature.Manifest, err)

	plugin.Name = "cascade.wasm" // what is signed is echo.wasm
	_, err = keys.Verify(plugin)
	fmt.Println(errors.Is(err, trust.ErrNotListed), err)
	// Output:
	// B2D95CABA81A9261 true <nil>
	// true cascade.wasm: not listed: SHA256SUMS is signed and does not name it
}

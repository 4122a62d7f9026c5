package module_test

import (
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module"
)

// TestMakers has modules for other hosts told by names of theirs, where others would do too.
func TestMakers(t *testing.T) {
	const linked = "seems to be a module of Javy's, to be linked to another at run time: build the function with javy build, and without -C dynamic\n"
	for _, c := range []struct {
		want             string
		imports, exports []string
	}{
		{"seems to be an actor of wasmCloud's: its protocol is waPC's, from a module of another name: build it with a kit of waPC's\n", []string{"wasmbus __guest_request"}, nil},
		{"seems to be a policy of Open Policy Agent's: its contract is another; resonhost new begins a plugin of this host's\n", []string{"env opa_abort"}, []string{"opa_eval"}},
		{linked, []string{"javy_quickjs_provider_v1 eval_bytecode"}, []string{"_start"}},
		{linked, []string{"shopify_functions_javy_v4 invoke"}, []string{"_start"}},
		{linked, nil, []string{"compile-src", "cabi_realloc"}},
		{linked, nil, []string{"eval_bytecode", "canonical_abi_realloc"}},
	} {
		if _, err := module.Load(t.Context(), foreign(c.imports, c.exports), options()); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v and %v: %v, want %s", c.imports, c.exports, err, c.want)
		}
	}
}

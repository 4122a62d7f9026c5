package checkout_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/resonhost/resonhost/internal/checkout"
)

func TestRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(checkout.Root(), "internal", "checkout", "checkout_test.go")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if got := checkout.Root(); got != "" {
		t.Errorf("outside of the module: %q", got)
	}
}

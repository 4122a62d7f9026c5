package auth_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/server/auth"
)

// TestEdit has many add lines at once, through a link, and loses none.
func TestEdit(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "tokens"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("# all\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("tokens", link); err != nil {
		t.Fatal(err)
	}
	var adding sync.WaitGroup
	for n := range 20 {
		adding.Go(func() {
			path := file
			if n%2 == 0 {
				path = link
			}
			line, err := auth.Line(fmt.Sprint("n", n), "cert", "scopes=call")
			if err != nil {
				t.Error(err)
			}
			if err := auth.Edit(path, func(b []byte) ([]byte, error) { return auth.Append(b, line) }); err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := auth.Parse(b)
	if err != nil || len(entries) != 20 {
		t.Errorf("%d entries, err %v", len(entries), err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, err %v", info.Mode(), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, err %v", info.Mode(), err)
	}
	if names, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}

func TestEditNew(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	refused := errors.New("no")
	for want, change := range map[error]func([]byte) ([]byte, error){
		nil:     func([]byte) ([]byte, error) { return []byte("# x\n"), nil },
		refused: func([]byte) ([]byte, error) { return nil, refused },
	} {
		if err := auth.Edit(file, change); !errors.Is(err, want) {
			t.Errorf("err %v, want %v", err, want)
		}
	}
	another := filepath.Join(dir, "another")
	if err := auth.Edit(another, func([]byte) ([]byte, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("err %v, want %v", err, refused)
	}
	if _, err := os.Stat(another); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that was not to be made: err %v", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 4 {
		t.Errorf("%v, err %v", info, err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "nothing", "tokens")} {
		if err := auth.Edit(path, nil); err == nil {
			t.Errorf("%s can be edited", path)
		}
	}
}

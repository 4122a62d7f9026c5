package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/state"
)

// awayStore is a store that cannot be reached once it is away.
type awayStore struct {
	*state.Memory

	away bool
}

func (s *awayStore) Save(ctx context.Context, changes []state.Change) error {
	if s.away {
		return fmt.Errorf("redis: %w", state.ErrUnavailable)
	}
	return s.Memory.Save(ctx, changes)
}

func TestSaveState(t *testing.T) {
	store := &awayStore{Memory: state.NewMemory()}
	file := filepath.Join(t.TempDir(), "audit")
	trail, err := auth.NewTrail(slog.New(slog.DiscardHandler), file)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		*cfg = host.Config{Mode: host.ModeInline, Native: []host.Native{cascade.New()}, State: store, StateInterval: time.Hour}
		o.Audit = trail
	})
	save := func(status int, kind host.Kind) (saved api.SavedState) {
		t.Helper()
		resp, err := http.Post(s.URL+"/v1/state/save", "", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got struct {
			api.SavedState

			Kind host.Kind `json:"kind"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != status || got.Kind != kind {
			t.Errorf("%d %+v, error %v; want %d %s", resp.StatusCode, got, err, status, kind)
		}
		return got.SavedState
	}
	task := func(stream string) {
		t.Helper()
		if code, _, body := s.do(t, http.MethodPost, "/v1/transforms/cascade", "application/json", `{"stream": "`+stream+`", "detail": "summary"}`); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	task("a")
	task("b")
	if got := save(http.StatusOK, ""); got.Saved != 2 || got.Deleted != 0 || got.Unsaved != 0 || got.TookS <= 0 {
		t.Errorf("%+v, want 2 saved", got)
	}
	if st, err := store.Stats(t.Context()); err != nil || st.Records != 2 {
		t.Errorf("%d records are stored, error %v; want 2", st.Records, err)
	}
	if got := save(http.StatusOK, ""); got.Saved != 0 {
		t.Errorf("%+v, want none that is saved twice", got)
	}
	task("a")
	store.away = true
	save(http.StatusServiceUnavailable, host.KindStateUnavailable)
	store.away = false
	if got := save(http.StatusOK, ""); got.Saved != 1 {
		t.Errorf("%+v, want 1 saved once the store is back", got)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if done, failed := strings.Count(string(b), `"action":"save_state","outcome":"done"`), strings.Count(string(b), `"action":"save_state","outcome":"failed"`); done != 3 || failed != 1 {
		t.Errorf("%d done and %d failed in the audit trail, want 3 and 1:\n%s", done, failed, b)
	}
}

func TestSaveStateWithoutAStore(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		*cfg = host.Config{Mode: host.ModeInline, Native: []host.Native{cascade.New()}}
	})
	resp, err := http.Post(s.URL+"/v1/state/save", "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var problem api.Error
	if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil || problem.Status != http.StatusConflict || problem.Kind != api.KindConflict || !strings.Contains(problem.Detail, "--state-dir") {
		t.Errorf("%+v, error %v", problem, err)
	}
}

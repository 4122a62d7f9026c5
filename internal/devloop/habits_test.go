package devloop

import (
	"testing"
	"time"
)

// TestHabits judges a change of each build of a row, by who wrote it and when it is noticed.
func TestHabits(t *testing.T) {
	const during, after = "during", "after"
	for name, c := range map[string]struct {
		files [][]string // that each build's change has
		when  string     // they are noticed
		want  []verdict
	}{
		"a stamp":                   {[][]string{{"stamp"}, {"stamp"}, {"stamp"}, {"stamp"}, {"stamp"}}, during, []verdict{rebuild, rebuild, finish, settle, settle}},
		"a stamp, when it is over":  {[][]string{{"stamp"}, {"stamp"}, {"stamp"}, {"stamp"}}, after, []verdict{rebuild, rebuild, finish, settle}},
		"two":                       {[][]string{{"a", "b"}, {"a", "b"}, {"a", "b"}, {"a", "b"}}, during, []verdict{rebuild, rebuild, finish, settle}},
		"a stamp, and a save":       {[][]string{{"stamp"}, {"stamp"}, {"stamp"}, {"stamp", "saved"}, {"stamp"}}, during, []verdict{rebuild, rebuild, finish, rebuild, settle}},
		"saves, not in each":        {[][]string{{"saved"}, {"saved"}, {"saved"}, nil, {"saved"}}, during, []verdict{rebuild, rebuild, finish, rebuild, rebuild}},
		"saves of one, then others": {[][]string{{"a"}, {"b"}, {"a"}, {"b"}, {"a"}}, during, []verdict{rebuild, rebuild, rebuild, rebuild, rebuild}},
	} {
		t.Run(name, func(t *testing.T) {
			var h habits
			now := time.Unix(1e9, 0)
			for i, files := range c.files {
				h.begin(now)
				wrote := now.Add(time.Second)
				now = now.Add(2 * time.Second)
				if c.when == after {
					h.end(now)
					now = now.Add(time.Second)
				}
				if files == nil {
					continue
				}
				ch := change{files: files, written: map[string]time.Time{}}
				for _, f := range files {
					ch.written[f] = wrote
				}
				if got := h.judge(ch); got != c.want[i] {
					t.Errorf("build %d: %d, want %d", i+1, got, c.want[i])
				}
				h.end(now)
			}
		})
	}
	var h habits
	now := time.Unix(1e9, 0)
	for range 10 { // saved between builds
		save := change{files: []string{"saved"}, written: map[string]time.Time{"saved": now}}
		if got := h.judge(save); got != rebuild {
			t.Errorf("a save between builds: %d", got)
		}
		h.begin(now.Add(time.Second))
		h.end(now.Add(2 * time.Second))
		now = now.Add(time.Minute)
	}
}

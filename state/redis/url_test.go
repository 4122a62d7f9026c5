package redis_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/state/redis"
)

func TestURL(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, shown string
		addresses  []string
	}{
		{"redis://localhost", "redis://localhost", []string{"localhost:6379"}},
		{"rediss://me:hush@h:1/3?name=a.b-c_D&timeout=1s&lease=1m&replicas=2&evict=refuse", "rediss://h:1/3", []string{"h:1"}},
		{"redis://[::1]:7", "redis://[::1]:7", []string{"[::1]:7"}},
		{"redis+sentinel://a,b:2/main/1?sentinel_user=u&sentinel_password_file=" + secret, "redis+sentinel://a,b:2/main/1", []string{"a:26379", "b:2"}},
		{"rediss+cluster://me@a:1,b:2?password_file=" + secret, "rediss+cluster://a:1,b:2", []string{"a:1", "b:2"}},
	} {
		shown, addresses, err := redis.Shown(c.url)
		if err != nil || shown != c.shown || !slices.Equal(addresses, c.addresses) {
			t.Errorf("%s: %s, %q, %v", c.url, shown, addresses, err)
		}
	}
}

func TestURLRefused(t *testing.T) {
	dir := t.TempDir()
	for url, want := range map[string]string{
		"":                                `scheme "" must be redis or rediss, with or without +sentinel or +cluster`,
		"http://h":                        `scheme "http" must be redis or rediss, with or without +sentinel or +cluster`,
		"redis:h":                         "must have the form redis://HOST:PORT",
		"redis://":                        "must have the form redis://HOST:PORT",
		"redis://h#hush":                  "must have the form redis://HOST:PORT",
		"redis://me:hush@h\x00":           "is no URL",
		"redis://:hush@:6379":             "has an address without a host",
		"redis://a,b":                     "several addresses take the scheme redis+sentinel or redis+cluster, and at most 64",
		"redis+cluster://a:0":             `address "a:0" must be HOST:PORT`,
		"redis+sentinel://a":              "must name the master after the addresses: redis+sentinel://HOST:PORT/MASTER",
		"redis://h/x":                     `database "x" must be a number, and a cluster has none`,
		"redis+cluster://h/1":             `database "1" must be a number, and a cluster has none`,
		"redis://h?a=%zz":                 "what follows ? must have the form key=value&key=value",
		"redis://h?name=a&name=b":         "name is there 2 times",
		"redis://h?name=a{b}":             "name: must have 1 to 64 letters, digits, dots, underscores and hyphens",
		"redis://h?timeout=1":             "timeout: must be between 100ms and 1m0s, such as 5s",
		"redis://h?lease=1ms":             "lease: must be between 1s and 10m0s, such as 5s",
		"redis://h?replicas=x":            "replicas: must be between 0 and 16",
		"redis://h?evict=maybe":           "evict: must be allow or refuse",
		"redis://h?password_file=" + dir:  "password_file: " + dir + " must be a file of at most 4096 bytes",
		"redis://h?ca=/dev/null":          "ca: /dev/null must be a file of at most 1048576 bytes",
		"redis://h?pasword_file=x&name=a": "pasword_file: is no key that a URL of states has: these are ca, evict, lease, name, password_file, replicas, sentinel_password_file, sentinel_user and timeout",
	} {
		_, err := redis.Open(t.Context(), redis.Options{URL: url})
		want = "the URL of the store of states is wrong: " + want
		if !errors.Is(err, redis.ErrURL) || err.Error() != want {
			t.Errorf("%s: error %v, want %s", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error has the password", url)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("redis+sentinel://u:p@a,b:2/main/1?name=x&timeout=1s")
	f.Fuzz(func(t *testing.T, url string) {
		if strings.Contains(url, "file") || strings.Contains(url, "ca=") {
			return
		}
		shown, addresses, err := redis.Shown(url)
		if err == nil && (len(addresses) == 0 || !strings.HasPrefix(shown, "redis")) {
			t.Fatalf("%q has addresses %q and is shown as %q", url, addresses, shown)
		}
	})
}

package auth_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/server/auth"
)

var (
	hashA = "sha256:" + strings.Repeat("0a", 32)
	hashB = "sha256:" + strings.Repeat("0b", 32)
)

func TestParse(t *testing.T) {
	all := []auth.Scope{auth.ScopeCall, auth.ScopeRead, auth.ScopeAdmin}
	call := []auth.Scope{auth.ScopeCall}
	for name, c := range map[string]struct {
		text string
		want []auth.Entry
	}{
		"nothing":  {"", nil},
		"comments": {"\xef\xbb\xbf# all\r\n\n  # more\n", nil},
		"least":    {"ci " + hashA + " scopes=call", []auth.Entry{{Grant: auth.Grant{Name: "ci", Scopes: call, Tenant: "ci"}, Line: 1, Tokens: 1}}},
		"every key": {
			"\na.b-c_d@e:/f " + hashA + "," + hashB + ",cert priority=urgent burst=7 rate=90/m transforms=cascade,tick.*,* tenant=acme scopes=call,read,admin # the CI\n",
			[]auth.Entry{{
				Grant: auth.Grant{Name: "a.b-c_d@e:/f", Scopes: all, Tenant: "acme", Transforms: []string{"cascade", "tick.*", "*"}, Rate: 1.5, Burst: 7, Urgent: true},
				Line:  2, Tokens: 2, Certificate: true,
			}},
		},
		"any tenant": {
			"gate cert scopes=call tenant=* rate=2.5/s priority=normal",
			[]auth.Entry{{Grant: auth.Grant{Name: "gate", Scopes: call, Tenant: "gate", AnyTenant: true, Rate: 2.5, Burst: 3}, Line: 1, Certificate: true}},
		},
		"slow": {
			"slow cert scopes=call rate=36/h",
			[]auth.Entry{{Grant: auth.Grant{Name: "slow", Scopes: call, Tenant: "slow", Rate: 0.01, Burst: 1}, Line: 1, Certificate: true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := auth.Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d entries, want %d", len(got), len(c.want))
			}
			for i := range got {
				w := c.want[i]
				if !reflect.DeepEqual(got[i].Grant, w.Grant) || got[i].Line != w.Line || got[i].Tokens != w.Tokens || got[i].Certificate != w.Certificate {
					t.Errorf("%+v\nwant %+v", got[i], w)
				}
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	token, _ := auth.NewToken()
	const keys = "; there are scopes, tenant, transforms, rate, burst, priority"
	for text, want := range map[string]string{
		"ci":                                                     "line 1: hash: is missing after the name; resonhost token new prints a line with one",
		"ci " + hashA:                                            "line 1: scopes: is missing; write scopes=call,read or which of call, read, admin it has",
		"ci " + hashA + "00 scopes=call":                         "line 1: hash: must have 64 hexadecimal digits after sha256:, has 66 characters",
		"ci " + hashA[:70] + "z scopes=call":                     "line 1: hash: must have nothing but hexadecimal digits after sha256:",
		"ci certificate scopes=call":                             "line 1: hash: must be sha256: and 64 hexadecimal digits, or cert for a client certificate of this name; resonhost token new prints one",
		"ci " + token + " scopes=call":                           "line 1: hash: is a token itself; put its hash here, and the token nowhere but where it is used",
		token + " " + hashA + " scopes=call":                     "line 1: name: looks like a token; a line begins with a name, and has the token's hash after it",
		"-ci " + hashA + " scopes=call":                          "line 1: name: must have letters, digits and ._-@:/+ only, and begin with a letter or digit",
		strings.Repeat("x", 129) + " cert scopes=call":           "line 1: name: must have 1 to 128 characters",
		"\n\nci cert scope=call":                                 `line 3: scope: is not a known key; did you mean "scopes"?` + keys,
		"ci cert " + token:                                       "line 1: a word that looks like a token: is not a known key" + keys,
		"ci cert scopes= call":                                   "line 1: scopes: has no value; write scopes=VALUE, without spaces",
		"ci cert scopes":                                         "line 1: scopes: has no value; write scopes=VALUE, without spaces",
		"ci cert scopes=call scopes=read":                        "line 1: scopes: is there twice",
		"ci cert scopes=call,call":                               "line 1: scopes: call is there twice",
		"ci cert scopes=admn":                                    `line 1: scopes: admn is no scope; did you mean "admin"?; there are call, read, admin`,
		"ci cert scopes=call,":                                   `line 1: scopes: an empty word is no scope; there are call, read, admin`,
		"ci cert scopes=" + token:                                `line 1: scopes: a word that looks like a token is no scope; there are call, read, admin`,
		"ci cert scopes=call tenant=a*":                          "line 1: tenant: must be a name, or * alone for the tenant that each request names",
		"ci cert scopes=call tenant=" + token:                    "line 1: tenant: looks like a token",
		"ci cert scopes=call tenant=a\x01":                       "line 1: tenant: must have characters that can be printed only",
		"ci cert scopes=call tenant=" + strings.Repeat("a", 257): "line 1: tenant: must have at most 256 bytes, has 257",
		"ci cert scopes=call transforms=a*b":                     "line 1: transforms: must be names of transforms with commas between, of which one may end in *: a*b is none",
		"ci cert scopes=call transforms=a,,b":                    "line 1: transforms: must be names of transforms with commas between, of which one may end in *: an empty word is none",
		"ci cert scopes=call transforms=" + strings.Repeat("a,", 64) + "a": "line 1: transforms: must have at most 64 names, has 65",
		"ci cert scopes=call rate=100":                                     "line 1: rate: must be a number of tasks for a second, a minute or an hour, such as 100/s, 30/m or 5/h",
		"ci cert scopes=call rate=NaN/s":                                   "line 1: rate: must be a number of tasks for a second, a minute or an hour, such as 100/s, 30/m or 5/h",
		"ci cert scopes=call rate=0/s":                                     "line 1: rate: must be a number of tasks for a second, a minute or an hour, such as 100/s, 30/m or 5/h",
		"ci cert scopes=call rate=1e-321/h":                                "line 1: rate: must be a number of tasks for a second, a minute or an hour, such as 100/s, 30/m or 5/h", // which is 0 a second
		"ci cert scopes=call rate=1e7/s":                                   "line 1: rate: must be a number of tasks for a second, a minute or an hour, such as 100/s, 30/m or 5/h",
		"ci cert scopes=call priority=bulk":                                "line 1: priority: must be normal or urgent, the highest that its jobs may have",
		"ci cert scopes=call burst=0 rate=1/s":                             "line 1: burst: must be a whole number from 1 to 1000000",
		"ci cert scopes=call burst=2":                                      "line 1: burst: has no effect without rate",
		"ci cert scopes=call\nci " + hashA + " scopes=call":                "line 2: name: ci is there already, in line 1; several hashes of one stand side by side, with commas",
		"a " + hashA + " scopes=call\nb " + hashA + " scopes=call":         "line 2: hash: is there already, in line 1",
		"a " + strings.Repeat("cert,", 8) + "cert scopes=call":             "line 1: hash: has more than 8 entries",
		"# \xff":                     "line 1: line: is not UTF-8",
		strings.Repeat("#", 8<<10+1): "line 1: line: is longer than 8192 bytes",
		"a\x00b\x00":                 "the text is UTF-16, and must be UTF-8",
		"one\ntwo":                   "line 1: hash: is missing after the name; resonhost token new prints a line with one\nline 2: hash: is missing after the name; resonhost token new prints a line with one",
		strings.Repeat("#\n", 1<<20): "is longer than 1048576 bytes",
	} {
		got, err := auth.Parse([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || got != nil {
			t.Errorf("%.80q:\ngot  %v\nwant %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), token[:12]) {
			t.Errorf("the error has a part of the token: %v", err)
		}
	}
	if _, err := auth.Parse([]byte(strings.Repeat("x\n", 1000))); strings.Count(err.Error(), "\n") != 9 {
		t.Errorf("not ten faults are told:\n%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("# all\nci " + hashA + " scopes=call,read tenant=acme transforms=cascade,tick.* rate=100/s burst=7 # x\r\n"))
	f.Add([]byte("\xef\xbb\xbfa " + hashA + "," + hashB + ",cert scopes=admin tenant=*"))
	f.Add([]byte("a cert scopes=call rate=1e-300/h"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := auth.Parse(text)
		if err != nil {
			if len(err.Error()) > 100<<10 || entries != nil {
				t.Fatalf("%d entries, and an error of %d bytes", len(entries), len(err.Error()))
			}
			return
		}
		i := auth.New(auth.Options{})
		if _, err := i.SetTokens(text); err != nil {
			t.Fatalf("parsed, and not taken: %v", err)
		}
		for _, e := range entries {
			if len(e.Scopes) == 0 || e.Tenant == "" || e.Tokens == 0 && !e.Certificate || (e.Rate > 0) != (e.Burst > 0) || !(e.Rate >= 0) {
				t.Fatalf("%+v", e)
			}
			left, err := auth.Remove(text, e.Name)
			if err != nil {
				t.Fatalf("%s is there, and cannot be removed: %v", e.Name, err)
			}
			after, err := auth.Parse(left)
			if err != nil || len(after) != len(entries)-1 {
				t.Fatalf("%d of %d entries are left without %s: %v", len(after), len(entries), e.Name, err)
			}
		}
	})
}

// TestLines adds and removes lines, beside which comments stay.
func TestLines(t *testing.T) {
	line, err := auth.Line("ci", hashA, "scopes=call", "tenant=acme")
	if err != nil || line != "ci "+hashA+" scopes=call tenant=acme\n" {
		t.Fatalf("%q, %v", line, err)
	}
	file, err := auth.Append([]byte("# first\nold cert scopes=read # why\n# end"), line)
	if want := "# first\nold cert scopes=read # why\n# end\n" + line; err != nil || string(file) != want {
		t.Fatalf("%q, %v", file, err)
	}
	if _, err := auth.Append(file, line); err == nil || !strings.Contains(err.Error(), "ci is there already, in line 4") {
		t.Errorf("the same name again: %v", err)
	}
	if file, err = auth.Remove(file, "old"); err != nil || string(file) != "# first\n# end\n"+line {
		t.Errorf("%q, %v", file, err)
	}
	if left, err := auth.Remove([]byte(line), "ci"); err != nil || string(left) != "# Nobody may call by a token.\n" {
		t.Errorf("without its only line: %q, %v", left, err)
	}
	if _, err := auth.Remove(file, "old"); err == nil || err.Error() != `there is no line of the name "old"` {
		t.Errorf("err %v", err)
	}
	for _, words := range [][]string{{"a b", hashA, "scopes=call"}, {"a", hashA, "scopes=call tenant=x"}, {"a", hashA, "scopes=call\nb"}, {"a", hashA, "scopes=call#"}, {"", hashA}} {
		if line, err := auth.Line(words[0], words[1], words[2:]...); err == nil {
			t.Errorf("%q is a line: %q", words, line)
		}
	}
}

func TestToken(t *testing.T) {
	token, hashed := auth.NewToken()
	other, _ := auth.NewToken()
	if token == other || !strings.HasPrefix(token, "rht_") || len(token) != 53 || hashed != auth.Hash(token) {
		t.Fatalf("%d characters, hash %s", len(token), hashed)
	}
	if err := auth.CheckToken(token); err != nil {
		t.Error(err)
	}
	for i := range len(token) {
		b := []byte(token)
		b[i] ^= 1
		if err := auth.CheckToken(string(b)); err == nil || bytes.Contains([]byte(err.Error()), b[8:20]) {
			t.Errorf("another character %d: %v", i, err)
		}
	}
	for text, want := range map[string]string{
		"": "is no token: one begins with rht_", token[:50]: "is a token of a wrong length; is it whole?",
		token + "x": "is a token of a wrong length; is it whole?", strings.Repeat("x", 1<<20): "is no token: one begins with rht_",
	} {
		if err := auth.CheckToken(text); err == nil || err.Error() != want {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}

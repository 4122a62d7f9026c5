package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/internal/filewatch"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/server/auth"
)

// tokenVerbs are what can be done with tokens.
var tokenVerbs = []string{"new", "ls", "rm"}

// newLine is what token new is told of a line. What is "" is left out.
type newLine struct {
	name, scopes, tenant, transforms, rate, burst, priority string
	cert                                                    bool
}

func tokenCommand(std stdio) *cli.Command {
	o, n := newOptions(), &newLine{}
	words := func(name, usage, def string, p *string) cli.Flag {
		return &cli.GenericFlag{Name: name, Usage: usage, DefaultText: def, Value: value.Text(p)}
	}
	return &cli.Command{
		Name:      "token",
		Usage:     "make, list and remove the tokens by which callers show who they are",
		UsageText: "resonhost token new --name NAME --scopes LIST [options]\nresonhost token ls [options]\nresonhost token rm NAME [options]",
		Description: "   new  make a token and print it, this once: to standard output it alone. Its line,\n" +
			"        which has its hash, is added to --tokens, or printed to standard error\n" +
			"   ls   list who may do what, by the file of --tokens\n" +
			"   rm   remove the line of NAME from it\n\n" +
			"resonhost run --tokens FILE takes a change of the file over at once. The scopes are\n" +
			"call to run tasks, read to see what there is, admin to change it.\n\n" + exitCodes,
		Flags: append(flags([]setting{o.identitySettings()[0]}, o.config()),
			words("name", "call it `NAME` in logs and audit records; of new", "", &n.name),
			words("scopes", "let it do `LIST` call, read and admin, with commas; of new", "", &n.scopes),
			words("tenant", "have it act for the tenant `NAME`, or * for the one that each request names; of new", "its own name", &n.tenant),
			words("transforms", "let it call those of `LIST`, with commas, such as cascade,tick.*; of new", "all", &n.transforms),
			words("rate", "let it begin `N/s` tasks, N/m or N/h; of new", "no limit", &n.rate),
			words("burst", "let it begin `N` at once; of new", "a second's", &n.burst),
			words("priority", "let its jobs be `urgent`; of new", "normal and bulk alone", &n.priority),
			&cli.BoolFlag{Name: "cert", Usage: "make a line for a client certificate of the name, and no token; of new", Destination: &n.cert, DisableDefaultText: true},
			jsonFlag("print JSON", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.token(std, c.Args().Slice(), n)
		},
	}
}

func (o *options) token(std stdio, args []string, n *newLine) error {
	if len(args) == 0 {
		args = []string{""}
	}
	verb, rest := args[0], args[1:]
	takes := 0
	if verb == "rm" {
		takes = 1
	}
	switch {
	case !slices.Contains(tokenVerbs, verb):
		return usagef("token: there is no command %q%s", verb, thereAre(verb, tokenVerbs))
	case len(rest) < takes:
		return usagef("say whose token: resonhost token rm NAME")
	case len(rest) > takes:
		return usagef("token %s takes no argument %q", verb, rest[takes])
	case verb != "new" && *n != (newLine{}):
		return usagef("token %s: --name, --scopes and what else a line has are for token new", verb)
	case verb != "new" && o.access.files.Tokens == "":
		return usagef("say in which file the tokens are: --tokens FILE")
	}
	switch verb {
	case "new":
		return o.newToken(std, n)
	case "ls":
		return o.listTokens(std)
	}
	return o.removeToken(std, rest[0])
}

// line returns the line of the file, and the token, which is "" for a certificate.
func (n *newLine) line() (line, token string, err error) {
	if n.name == "" || n.scopes == "" {
		return "", "", usagef("say who it is for and what it may do: resonhost token new --name NAME --scopes call,read")
	}
	credentials := "cert"
	if !n.cert {
		token, credentials = auth.NewToken()
	}
	var keys []string
	for _, k := range [][2]string{{"name", n.name}, {"scopes", n.scopes}, {"tenant", n.tenant}, {"transforms", n.transforms}, {"rate", n.rate}, {"burst", n.burst}, {"priority", n.priority}} {
		switch {
		case strings.ContainsFunc(k[1], func(r rune) bool { return r == '#' || unicode.IsSpace(r) }):
			return "", "", usagef("--%s: must have no blank and no #", k[0])
		case k[0] != "name" && k[1] != "":
			keys = append(keys, k[0]+"="+k[1])
		}
	}
	line, err = auth.Line(n.name, credentials, keys...)
	if fault := (*auth.LineError)(nil); errors.As(err, &fault) {
		return "", "", usagef("--%s: %s", fault.Field, fault.Rule)
	}
	return line, token, err
}

func (o *options) newToken(std stdio, n *newLine) error {
	line, token, err := n.line()
	if err != nil {
		return err
	}
	if std.out.closed != nil { // the token would be lost, and its line be there
		return std.out.closed
	}
	std.out.precious = true
	file := o.access.files.Tokens
	if file != "" {
		if err := auth.Edit(file, func(b []byte) ([]byte, error) { return auth.Append(b, line) }); err != nil {
			return editFault(file, err)
		}
	}
	err = o.showToken(std, n.name, line, token)
	if err != nil && file != "" { // nobody has the token
		err = errors.Join(takeBack(file, n.name), err)
	}
	return err
}

// takeBack removes the line that was added to a file of tokens. Its error says that the line is there.
func takeBack(file, name string) error {
	if err := auth.Edit(file, func(b []byte) ([]byte, error) { return auth.Remove(b, name) }); err != nil {
		return fmt.Errorf("%s keeps the line of %s, and nobody has its token: %w", file, name, editFault(file, err))
	}
	return nil
}

// showToken prints a token, which is "" for a certificate, and its line.
func (o *options) showToken(std stdio, name, line, token string) error {
	file := o.access.files.Tokens
	if o.json {
		return terminal.Encode(std.out, struct {
			Name  string `json:"name"`
			Token string `json:"token,omitempty"`
			Line  string `json:"line"`
		}{name, token, strings.TrimSuffix(line, "\n")})
	}
	if file != "" {
		fmt.Fprintf(std.err, "resonhost: %s has a line for %s now\n", file, name)
	} else {
		fmt.Fprintf(std.err, "resonhost: add this line to the file of run --tokens:\n%s", line)
	}
	if token == "" {
		return nil
	}
	fmt.Fprintln(std.err, "resonhost: this is the token; nothing shows it again; umask 077 keeps others from a file that it goes to:")
	_, err := fmt.Fprintln(std.out, token)
	return err
}

// editFault says in terms of the command why a file of tokens is not changed.
func editFault(file string, err error) error {
	if unknown := (*auth.NameError)(nil); errors.As(err, &unknown) {
		return usagef("%s: %s%s", file, unknown, spell.DidYouMean(unknown.Name, unknown.Known))
	}
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return usagef("--tokens %s: %w", file, path.Err)
	}
	return fileFault(&auth.FileError{Field: "Tokens", Path: file, Err: err})
}

func (o *options) removeToken(std stdio, name string) error {
	file := o.access.files.Tokens
	if _, err := os.Stat(file); err != nil { // which Edit would make
		return editFault(file, err)
	}
	if err := auth.Edit(file, func(b []byte) ([]byte, error) { return auth.Remove(b, name) }); err != nil {
		return editFault(file, err)
	}
	fmt.Fprintf(std.err, "resonhost: %s has no line for %s any more\n", file, name)
	return nil
}

func (o *options) listTokens(std stdio) error {
	file := o.access.files.Tokens
	contents, err := filewatch.Read([]string{file}, auth.MaxFile)
	if err != nil {
		return editFault(file, err)
	}
	entries, err := auth.Parse(contents[0])
	if err != nil {
		return editFault(file, err)
	}
	if o.json {
		for i := range entries {
			if err := terminal.Encode(std.out, jsonEntry(&entries[i])); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tBY\tSCOPES\tTENANT\tTRANSFORMS\tRATE")
	for i := range entries {
		e := jsonEntry(&entries[i])
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, strings.Join(e.By, ", "), scopeList(e.Scopes), printable(e.Tenant), dash(strings.Join(e.Transforms, ",")), dash(e.Rate))
	}
	return t.Flush()
}

// entry is a line of the file as token ls shows it.
type entry struct {
	Name       string       `json:"name"`
	By         []string     `json:"by"`
	Scopes     []auth.Scope `json:"scopes"`
	Tenant     string       `json:"tenant"` // * for any
	Transforms []string     `json:"transforms,omitempty"`
	Rate       string       `json:"rate,omitempty"`
}

func jsonEntry(e *auth.Entry) entry {
	out := entry{Name: e.Name, Scopes: e.Scopes, Tenant: e.Tenant, Transforms: e.Transforms}
	if e.Tokens > 0 {
		out.By = append(out.By, counted(e.Tokens, "token"))
	}
	if e.Certificate {
		out.By = append(out.By, "certificate")
	}
	if e.AnyTenant {
		out.Tenant = "*"
	}
	if e.Rate > 0 {
		out.Rate = fmt.Sprintf("%.4g/s, %d at once", e.Rate, e.Burst)
	}
	return out
}

func scopeList(scopes []auth.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}

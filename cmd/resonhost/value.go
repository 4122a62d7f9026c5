package main

import (
	"fmt"
	"path"
	"strings"
)

// hostNames are patterns of names of hosts, separated by commas, or none.
type hostNames struct{ p *[]string }

// String is for package flag; help shows a setting's default instead.
func (hostNames) String() string { return "" }

func (v hostNames) Set(s string) error {
	list := []string{}
	for word := range strings.SplitSeq(s, ",") {
		word = strings.TrimSpace(word)
		if _, err := path.Match(word, ""); err != nil || word == "" || strings.ContainsAny(word, " \t/") {
			return fmt.Errorf(`must be a list of names of hosts or patterns such as *.internal, or "none": %q is none`, word)
		}
		if s != "none" {
			list = append(list, word)
		}
	}
	*v.p = list
	return nil
}

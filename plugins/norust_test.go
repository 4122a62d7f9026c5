//go:build !scaffolds

package plugins_test

import "testing"

// rustBuild returns nil: a plugin has a Rust build under the tag scaffolds.
func rustBuild(testing.TB, string) []byte { return nil }

// Tools that tests run as commands of WASI. Each is built as it is published.
module github.com/resonhost/resonhost/testdata/commands

go 1.25.0

tool (
	github.com/client9/misspell/cmd/misspell
	github.com/pelletier/go-toml/v2/cmd/tomljson
	mvdan.cc/sh/v3/cmd/shfmt
)

require (
	github.com/client9/misspell v0.3.4 // indirect
	github.com/google/renameio/v2 v2.0.0 // indirect
	github.com/pelletier/go-toml/v2 v2.2.4 // indirect
	github.com/rogpeppe/go-internal v1.14.1 // indirect
	golang.org/x/sys v0.33.0 // indirect
	golang.org/x/term v0.32.0 // indirect
	mvdan.cc/editorconfig v0.3.0 // indirect
	mvdan.cc/sh/v3 v3.12.0 // indirect
)

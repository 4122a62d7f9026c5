module github.com/resonhost/resonhost/bench

go 1.25.0

require github.com/resonhost/resonhost v0.0.0

require (
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/tetratelabs/wazero v1.12.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/resonhost/resonhost => ../

module github.com/resonhost/resonhost/testdata/guests/extism-go

go 1.25.0

require github.com/extism/go-pdk v1.1.3

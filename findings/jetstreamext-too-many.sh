#!/usr/bin/env bash
# Version: github.com/synadia-io/orbit.go/jetstreamext v0.3.2, natsext v0.1.3, nats.go v1.55.0, nats-server v2.15.3, Go 1.26 or newer.
#
# GetLastMsgsFor takes subjects with wildcards, and the server answers for 1,024 subjects at most. A request that more match
# is refused by the server with the status 413, "Too Many Results". The library does not look at that status, misses a header,
# and says that the server does not support such requests: ErrBatchUnsupported. A program that falls back to another way
# for old servers does so for good, though the same server answers a narrower request.
#
# The program asks for all of 1,024 subjects, and then of 1,025.
#
# Output seen: see want below.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.26

require (
	github.com/nats-io/nats-server/v2 v2.15.3
	github.com/nats-io/nats.go v1.55.0
	github.com/synadia-io/orbit.go/jetstreamext v0.3.2
	github.com/synadia-io/orbit.go/natsext v0.1.3
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: os.Args[1], NoSigs: true})
	check(err)
	s.Start()
	defer s.Shutdown()
	nc, err := nats.Connect(s.ClientURL(), nats.RetryOnFailedConnect(true))
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	ctx := context.Background()
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, AllowDirect: true})
	check(err)
	for i := range 1025 {
		if i == 1024 {
			ask(ctx, js, i)
		}
		_, err := js.Publish(ctx, "s."+strconv.Itoa(i), []byte("x"))
		check(err)
	}
	ask(ctx, js, 1025)
	answer, err := nc.Request("$JS.API.DIRECT.GET.S", []byte(`{"multi_last":["s.*"]}`), nats.DefaultTimeout)
	check(err)
	fmt.Println("the server says", answer.Header.Get("Status"), answer.Header.Get("Description"))
}

func ask(ctx context.Context, js jetstream.JetStream, of int) {
	msgs, err := jetstreamext.GetLastMsgsFor(ctx, js, "S", []string{"s.*"})
	check(err)
	n := 0
	var failed error
	for _, err := range msgs {
		if failed = err; err != nil {
			break
		}
		n++
	}
	fmt.Printf("%d of %d messages, error %v\n", n, of, failed)
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run . "$dir/store")
echo "$got"
want='1024 of 1024 messages, error <nil>
0 of 1025 messages, error batch get not supported by server
the server says 413 Too Many Results'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }

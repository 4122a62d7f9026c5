#!/usr/bin/env bash
# Version: github.com/synadia-io/orbit.go/jetstreamext v0.3.2, natsext v0.1.3, nats.go v1.55.0, nats-server v2.15.3, Go 1.26 or newer.
#
# GetLastMsgsFor returns an iterator of messages and errors. If the deadline of its context passes while the messages are read,
# the iterator ends too, and yields no error: a part of what was asked for looks like all of it. Who cancels the context
# gets an error. Who reads under a deadline must look at the context afterwards, or count.
#
# The program stores five messages under five subjects and asks for all five. After the second it waits until the context
# has ended: by a deadline, and cancelled.
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
	"time"

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
	for i := range 5 {
		_, err := js.Publish(ctx, fmt.Sprint("s.", i), []byte("x"))
		check(err)
	}
	for _, how := range []string{"whole", "deadline", "cancelled"} {
		limit := time.Minute
		if how == "deadline" {
			limit = time.Second
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		msgs, err := jetstreamext.GetLastMsgsFor(ctx, js, "S", []string{"s.0", "s.1", "s.2", "s.3", "s.4"})
		check(err)
		n := 0
		var failed error
		for _, err := range msgs {
			if err != nil {
				failed = err
				break
			}
			n++
			if n == 2 && how == "cancelled" {
				cancel()
			}
			if n == 2 && how != "whole" {
				<-ctx.Done()
			}
		}
		fmt.Printf("%s: %d of 5 messages, error %v; the context: %v\n", how, n, failed, ctx.Err())
		cancel()
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run . "$dir/store")
echo "$got"
want='whole: 5 of 5 messages, error <nil>; the context: <nil>
deadline: 2 of 5 messages, error <nil>; the context: context deadline exceeded
cancelled: 2 of 5 messages, error context canceled; the context: context canceled'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }

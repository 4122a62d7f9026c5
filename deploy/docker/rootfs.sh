#!/bin/sh
# rootfs.sh DIR [VERSION] makes the root of the image in DIR. It runs in a checkout, with Go.
set -eu
out=$1 version=${2:-devel}
cd "$(dirname "$0")/../.."

mkdir -p "$out/plugins" "$out/cache" "$out/tmp" "$out/etc/ssl/certs"
chmod 1777 "$out/tmp"
chmod 0700 "$out/cache"
# Without cgo, the program needs no library.
CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=$version" -o "$out/resonhost" ./cmd/resonhost
# Not by make guests: parts of make check that write to bin run beside this one.
for plugin in cascade tick; do
	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags=-w -o "$out/plugins/$plugin.wasm" "./plugins/$plugin/wasm"
done
# Authorities for requests of plugins with --grant network.
cp /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/"
# The user's name, for what looks it up.
echo 'resonhost:x:65532:65532:resonhost:/:/nologin' >"$out/etc/passwd"
echo 'resonhost:x:65532:' >"$out/etc/group"

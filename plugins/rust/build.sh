#!/bin/sh
# Builds the plugin $1 to the file $2, which appears there whole, and only if it differs.
set -eu
mkdir -p "$(dirname "$2")"
file=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
directory=../../bin/rust
found=$(sh ../../internal/scaffold/templates/buildrust/toolchain.sh.tmpl)
# They would go before the flags of .cargo/config.toml, without which there is no SIMD.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
PATH=$found:$PATH cargo build --release --locked --offline --target $target --target-dir $directory -p "$1-plugin"
built=$directory/$target/release/$1.wasm
cmp -s "$built" "$file" || { cp "$built" "$file.$$" && mv "$file.$$" "$file"; }

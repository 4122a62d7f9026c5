#!/bin/sh
# Builds the plugin $1 to the file $2, which appears there whole, and only if it differs.
# Of several rustc on PATH it takes the first that has the target.
set -eu
mkdir -p "$(dirname "$2")"
file=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
directory=../../bin/rust
found=
IFS=:
for dir in $PATH; do
	if libs=$("$dir/rustc" --print target-libdir --target $target 2>/dev/null) && [ -d "$libs" ]; then
		found=$dir
		break
	fi
done
unset IFS
if [ -z "$found" ] || ! command -v cargo >/dev/null; then
	echo "cargo or its target $target is missing: apt-get install cargo libstd-rust-dev-wasm32, or rustup target add $target" >&2
	exit 1
fi
# They would go before the flags of .cargo/config.toml, without which there is no SIMD.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
PATH=$found:$PATH cargo build --release --locked --offline --target $target --target-dir $directory -p "$1-plugin"
built=$directory/$target/release/$1.wasm
cmp -s "$built" "$file" || { cp "$built" "$file.$$" && mv "$file.$$" "$file"; }

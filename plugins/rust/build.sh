#!/bin/sh
# Builds the plugin $1 to the file $2, which appears there whole, and only if it differs.
# Of several rustc on PATH it takes the first that has the target.
set -eu
file=$(realpath -m "$2")
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
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
PATH=$found:$PATH cargo build --release --locked --offline -p "$1-plugin"
built=../../bin/rust/$target/release/$1.wasm
mkdir -p "$(dirname "$file")"
cmp -s "$built" "$file" || { cp "$built" "$file.new" && mv "$file.new" "$file"; }

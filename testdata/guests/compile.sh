#!/bin/sh
# Compiles the hand-written guests to a directory, by default beside their
# sources, and writes the files there that are no WebAssembly at all.
set -eu
cd "$(dirname "$0")"
out=${1:-.}

command -v wat2wasm >/dev/null || {
	echo "wat2wasm is missing: install the Debian package wabt" >&2
	exit 1
}
for wat in *.wat; do
	wat2wasm --debug-names "$wat" -o "$out/${wat%.wat}.wasm"
done
mkdir -p "$out/proposals"
for wat in proposals/*.wat; do
	wat2wasm --enable-all --debug-names "$wat" -o "$out/${wat%.wat}.wasm"
done
# The library of Extism's guests is the host's, which embeds it.
kernel=../../host/internal/module/kind/extism/kernel.wat
[ "$out" = . ] && to=${kernel%.wat}.wasm || to=$out/extism-kernel.wasm
wat2wasm "$kernel" -o "$to"

: >"$out/empty.wasm"
head -c 1000 "$out/hostile.wasm" >"$out/truncated.wasm"
printf '\0asm\015\000\001\000' >"$out/component.wasm"
printf '\0asm\014\000\001\000' >"$out/component-draft.wasm"
echo 'This is no WebAssembly.' >"$out/text.wasm"

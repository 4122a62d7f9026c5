#!/bin/sh
# guest.sh CASE, from the root of the repository: the functions of a guest by their share of
# the guest's time in a case of BenchmarkGuests, such as cascade_full. It needs perf, and
# wazero's map of what it compiles for it.
set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go test -c -tags perfmap -o "$dir/plugins.test" ./plugins
cd plugins
perf record -q -F 2000 -e cpu-clock -o "$dir/perf.data" \
	"$dir/plugins.test" -test.run xxx -test.bench "Guests/$1\$" -test.benchtime 4000x >&2
perf report -i "$dir/perf.data" --stdio --no-children -s symbol 2>/dev/null | awk '
	$2 == "[.]" && $3 ~ /^\[[0-9]+\// {
		sub(/%/, "", $1); sub(/^\[[0-9]+\/[0-9]+\]\.?/, "", $3); sub(/:::::.*/, "", $3)
		n[$3] += $1; all += $1
	}
	END { for (f in n) if (n[f] > all/200) printf "%5.1f%% %s\n", 100*n[f]/all, f }' | sort -rn

#!/usr/bin/env bash
# Runs every fuzz target of the workspace for a short time: FUZZTIME each (5s),
# less if there are so many that all together would take longer than
# FUZZBUDGET seconds (180).
set -euo pipefail
cd "$(dirname "$0")/.."

budget=${FUZZBUDGET:-180}
targets=$(grep -rnoE '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' schema pkg toolkit runtime examples |
	sed -E 's/^([^:]*)\/[^/]*:[0-9]+:func (.*)$/\1 \2/' | sort)
if [ -z "$targets" ]; then
	echo "no fuzz targets" >&2
	exit 1
fi
n=$(wc -l <<<"$targets")
# Building a target with its instrumentation takes about as long as fuzzing it.
time=${FUZZTIME:-5s}
if [ -z "${FUZZTIME:-}" ] && [ $((n * 10)) -gt "$budget" ]; then
	time=$((budget / n / 2))
	[ "$time" -ge 1 ] || time=1
	time=${time}s
fi
echo "$n fuzz targets, $time each"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
while read -r dir name; do
	echo "$dir $name"
	# Minimising a merely interesting input may take the rest of the time, so
	# that nothing new is tried; a few steps do.
	if go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 20x "./$dir" >"$out" 2>&1 </dev/null; then
		grep '^fuzz: elapsed' "$out" | tail -n 1
	elif grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input written' "$out"; then
		# Go's fuzzer sometimes takes the end of its time for a failure
		# (a known flaw of its clock); a finding writes its input.
		echo "fuzz: time was up in the middle of an input"
	else
		cat "$out"
		exit 1
	fi
done <<<"$targets"
echo "$n fuzz targets found nothing"

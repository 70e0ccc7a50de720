#!/usr/bin/env bash
# Runs every fuzz target of the tree, one after the other, each for FUZZTIME (60s).
# `go test` runs the seeds and the saved findings of all of them as ordinary tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

found=0
while IFS=: read -r file target; do
  found=$((found + 1))
  echo "== $target ($file)"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" "./$(dirname "$file")"
done < <(grep -rHoP --include='*_test.go' '^func \KFuzz\w+(?=\(\w+ \*testing\.F\))' pkg cmd internal | sort)

if [[ $found == 0 ]]; then
  echo "no fuzz target found" >&2
  exit 1
fi

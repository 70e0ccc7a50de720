#!/usr/bin/env bash
# Runs every fuzz target of the tree, one after the other, each for FUZZTIME (60s), and fails at the end when one of them failed.
# FUZZ names those to be run, as a regular expression; all are the default. The targets are asked of the test programs themselves,
# so that none is forgotten. `go test` runs the seeds and the saved findings of all of them as ordinary tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

listed=$(go test -list '^Fuzz' ./...)
found=0 failed=() targets=()
while read -r first second _; do
  case $first in
    Fuzz*) targets+=("$first") ;;
    ok)
      for target in "${targets[@]}"; do
        [[ $target =~ ${FUZZ:-.} ]] || continue
        found=$((found + 1))
        echo "== $target ($second)"
        go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" "$second" || failed+=("$second $target")
      done
      targets=()
      ;;
  esac
done <<<"$listed"

if [[ $found == 0 ]]; then
  echo "no fuzz target found" >&2
  exit 1
fi
echo "== $found targets, ${#failed[@]} failed"
if [[ ${#failed[@]} != 0 ]]; then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi

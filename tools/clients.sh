#!/usr/bin/env bash
# Makes or checks the clients in other languages than Go: clients.sh make | check
#
# check makes the types once more beside those in the tree, and fails when they differ; both compile and test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command=${1:?make or check}
tools/needs.sh npm
cd clients/typescript
npm ci --no-audit --no-fund --ignore-scripts --silent
description=../../pkg/httpapi/openapi.yaml
case $command in
  make) npx --no-install openapi-typescript "$description" --default-non-nullable=false --output src/schema.ts ;;
  check)
    made=$(mktemp -d)
    trap 'rm -rf "$made"' EXIT
    npx --no-install openapi-typescript "$description" --default-non-nullable=false --output "$made/schema.ts" >/dev/null
    if ! diff -q "$made/schema.ts" src/schema.ts >/dev/null; then
      echo "clients/typescript/src/schema.ts is not what the description makes now: run make clients" >&2
      exit 1
    fi
    ;;
  *)
    echo "clients.sh: unknown command $command" >&2
    exit 2
    ;;
esac
said=$(mktemp)
trap 'rm -rf "$said" ${made:+"$made"}' EXIT
if ! npm test --silent >"$said" 2>&1; then
  cat "$said" >&2
  exit 1
fi

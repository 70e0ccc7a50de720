#!/usr/bin/env bash
# Remakes the golden vectors with the machine's Node and compares them, then opens in Node what Go seals.
set -euo pipefail
cd "$(dirname "$0")"
command -v node >/dev/null || { echo "interop: no node on PATH; install Node 18 or newer" >&2; exit 1; }
node vectors.mjs | cmp - vectors.json || { echo "interop: vectors.json is not what $(node --version) makes" >&2; exit 1; }
echo "interop: $(node --version) makes the golden vectors byte for byte"
sealed=$(mktemp)
trap 'rm -f "$sealed"' EXIT
(cd ../../.. && VAULT_SEALED_BY_GO="$sealed" go test -count=1 -run '^TestSealForNode$' ./pkg/vault)
node vectors.mjs open <"$sealed"

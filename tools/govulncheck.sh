#!/usr/bin/env bash
# Runs govulncheck at one version, with the arguments given. Like the linter it is built by the Go toolchain on first use, outside
# the product's go.mod. Exit 75: it is not there and cannot be built.
set -euo pipefail

version=v1.9.0
tools=${XDG_CACHE_HOME:-${HOME:-$PWD/.dev}/.cache}/billonce/bin
checker=$tools/govulncheck-$version-$(go env GOVERSION)
if [[ ! -x $checker ]]; then
  echo "building govulncheck $version, once" >&2
  mkdir -p "$tools"
  building=$(mktemp -d "$tools/building.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  (cd "$building" && CGO_ENABLED=0 GOBIN=$building go install "golang.org/x/vuln/cmd/govulncheck@$version") || exit 75
  mv -f "$building/govulncheck" "$checker" # in one step: two builds at once do no harm
  rm -rf "$building"
  trap - EXIT
fi
exec "$checker" "$@"

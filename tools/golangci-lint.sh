#!/usr/bin/env bash
# Runs golangci-lint at the one version that .golangci.yml is written for, with the arguments given; in the module at LINT_IN, if that
# is set.
#
# It is built by the Go toolchain on first use (a minute or two) into the user's cache, outside the product's go.mod: the
# linter's several hundred dependencies are no business of a program that holds keys.
set -euo pipefail

version=v2.15.0
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The same settings as the build's, so that both use one build cache.
GOFLAGS="$(go env GOFLAGS) -trimpath"
export CGO_ENABLED=0 GOFLAGS

# A linter built with an older Go refuses newer source, so the Go version is a part of the name.
tools=${XDG_CACHE_HOME:-${HOME:-$PWD/.dev}/.cache}/billonce/bin
linter=$tools/golangci-lint-$version-$(go env GOVERSION)
if [[ ! -x $linter ]]; then
  echo "building golangci-lint $version, once" >&2
  mkdir -p "$tools"
  building=$(mktemp -d "$tools/building.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  (cd "$building" && GOBIN=$building go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version")
  mv -f "$building/golangci-lint" "$linter" # in one step: two builds at once do no harm
  rm -rf "$building"
  trap - EXIT
fi

command=${1:?run or fmt}
shift
cd "${LINT_IN:-.}"
case $command in
  run) exec "$linter" run --allow-parallel-runners "$@" ;;
  *) exec "$linter" "$command" "$@" ;;
esac

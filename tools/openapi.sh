#!/usr/bin/env bash
# Checks the description of the API, pkg/httpapi/openapi.yaml: openapi.sh lint | breaking
#
#   lint      it keeps our rules (tools/apigen -lint) and is valid OpenAPI
#   breaking  it breaks no client of the last tag; before the first tag, of where this branch left main
#
# oasdiff is built at the one version below by the Go toolchain on first use, outside of the product's go.mod.
set -euo pipefail

version=v1.37.0
cd "$(dirname "${BASH_SOURCE[0]}")/.."
description=pkg/httpapi/openapi.yaml

tools=${XDG_CACHE_HOME:-${HOME:-$PWD/.dev}/.cache}/billonce/bin
oasdiff=$tools/oasdiff-$version-$(go env GOVERSION)
if [[ ! -x $oasdiff ]]; then
  echo "building oasdiff $version, once" >&2
  mkdir -p "$tools"
  building=$(mktemp -d "$tools/building.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  (cd "$building" && CGO_ENABLED=0 GOBIN=$building GOFLAGS="$(go env GOFLAGS) -trimpath" go install "github.com/oasdiff/oasdiff@$version")
  mv -f "$building/oasdiff" "$oasdiff" # in one step: two builds at once do no harm
  rm -rf "$building"
  trap - EXIT
fi

# baseline prints the commit to compare with, and nothing when there is none that has a description.
baseline() {
  local commit
  for commit in "$(git describe --tags --abbrev=0 2>/dev/null)" \
    "$(git merge-base HEAD origin/main 2>/dev/null)" "$(git merge-base HEAD main 2>/dev/null)"; do
    if [[ -n $commit ]] && git cat-file -e "$commit:$description" 2>/dev/null; then
      echo "$commit"
      return
    fi
  done
}

case ${1:?lint or breaking} in
  lint)
    CGO_ENABLED=0 go run -trimpath ./tools/apigen -lint
    "$oasdiff" validate "$description"
    ;;
  breaking)
    base=${BASE:-$(baseline)}
    if [[ -z $base ]]; then
      echo "no tag and no earlier commit has $description: there is no client to break yet"
      exit 0
    fi
    before=$(mktemp)
    trap 'rm -f "$before"' EXIT
    git show "$base:$description" >"$before"
    echo "comparing $description with $base"
    "$oasdiff" breaking --flatten-allof --severity-levels tools/oasdiff.txt --fail-on ERR "$before" "$description"
    ;;
  *)
    echo "openapi.sh: unknown check $1" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# Checks the description of the API, pkg/httpapi/openapi.yaml: openapi.sh lint | breaking
#
#   lint      it keeps our rules (tools/apigen -lint) and is valid OpenAPI
#   breaking  it breaks no client of the last release, or, before the first one, of what it was before it was changed;
#             BASE=commit compares with another
#
# In CI (where CI is set) what cannot be compared is an error. Elsewhere, in a tarball for example, it is said and passes.
#
# oasdiff is built at the one version below by the Go toolchain on first use, outside of the product's go.mod.
set -euo pipefail

version=v1.37.0
cd "$(dirname "${BASH_SOURCE[0]}")/.."
description=pkg/httpapi/openapi.yaml

tools=${XDG_CACHE_HOME:-${HOME:-$PWD/.dev}/.cache}/billonce/bin
oasdiff=$tools/oasdiff-$version-$(go env GOVERSION)

need_oasdiff() {
  [[ -x $oasdiff ]] && return
  echo "building oasdiff $version, once" >&2
  mkdir -p "$tools"
  building=$(mktemp -d "$tools/building.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  (cd "$building" && CGO_ENABLED=0 GOBIN=$building GOFLAGS="$(go env GOFLAGS) -trimpath" go install "github.com/oasdiff/oasdiff@$version")
  mv -f "$building/oasdiff" "$oasdiff" # in one step: two builds at once do no harm
  rm -rf "$building"
  trap - EXIT
}

# unchecked ends the check when there is nothing to go by.
unchecked() {
  echo "NOT CHECKED whether $description breaks clients: $1" >&2
  if [[ ${CI:-false} != false ]]; then exit 1; fi
  exit 0
}

holds() { git cat-file -e "$1:$description" 2>/dev/null; }

# need_history ends the check unless git shows all of this tree's history.
need_history() {
  local top
  top=$(git rev-parse --show-toplevel 2>&1) || unchecked "git says: $top"
  [[ $top == "$(pwd -P)" ]] || unchecked "this tree is not the root of a git repository"
  git rev-parse --quiet --verify HEAD >/dev/null || unchecked "there is no commit yet"
  [[ $(git rev-parse --is-shallow-repository) == false ]] ||
    unchecked "the clone is shallow and may lack what to compare with; git fetch --unshallow --tags gets it"
}

# find_release sets tag to the last release before what is here, "" when there is none. When this commit is a release itself, the
# description must say so.
find_release() {
  local name all said
  tag=
  all=$(git tag --merged HEAD --sort=-version:refname)
  for name in $all; do
    [[ $name =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || continue
    if [[ -z $changed && $(git rev-parse "$name^{commit}") == "$head" ]]; then
      said=$(sed -n 's/^  version: *//p;/^paths:/q' "$description")
      if [[ v$said != "$name" ]]; then
        echo "$description says that it is version $said, and the commit is $name" >&2
        exit 1
      fi
      continue
    fi
    if holds "$name"; then
      tag=$name
      return
    fi
  done
}

# find_earlier sets bases to the commits that have the description as it was before it was changed here: where the branch left
# main; on main, the commit if the file differs from it, or else the parents of the last commit that changed it.
find_earlier() {
  local name commit last history
  bases=()
  for name in origin/main main; do
    commit=$(git merge-base HEAD "$name" 2>/dev/null) || continue
    if [[ $commit != "$head" ]] && holds "$commit"; then
      bases=("$commit")
      return
    fi
  done
  if [[ -n $changed ]] && holds HEAD; then
    bases=("$head")
    return
  fi
  history=$(git rev-list HEAD -- "$description")
  last=${history%%$'\n'*}
  if [[ -z $last ]]; then return; fi
  for commit in $(git rev-parse "$last^@"); do
    if holds "$commit"; then bases+=("$commit"); fi
  done
  for commit in $history; do # it was taken away and has come back
    if [[ ${#bases[@]} == 0 && $commit != "$last" ]] && holds "$commit"; then bases=("$commit"); fi
  done
}

find_bases() {
  if [[ -z ${BASE:-} ]]; then need_history; fi
  head=$(git rev-parse HEAD)
  changed=$(git status --porcelain -- "$description")
  find_release
  if [[ -n ${BASE:-} ]]; then
    if ! holds "$BASE"; then
      echo "openapi.sh: git has no $description at $BASE" >&2
      exit 1
    fi
    bases=("$BASE")
  elif [[ -n $tag ]]; then
    bases=("$tag")
  else
    find_earlier
  fi
}

# compare refuses what breaks a client of the description at a commit, but for what has been accepted since the release.
compare() {
  git show "$1:$description" >"$work/before.yaml"
  awk -v since="since ${tag:-nothing} " 'index($0, since) == 1 { print substr($0, length(since) + 1) }' \
    tools/openapi-accepted.txt >"$work/accepted.txt"
  echo "comparing $description with $1 ($(git log -1 --format='%h, %cs, %s' "$1^{commit}"))"
  "$oasdiff" breaking --flatten-allof --severity-levels tools/oasdiff.txt --err-ignore "$work/accepted.txt" \
    --warn-ignore "$work/accepted.txt" --fail-on WARN \
    "$work/before.yaml" "$description"
}

case ${1:?lint or breaking} in
  lint)
    need_oasdiff
    CGO_ENABLED=0 go run -trimpath ./tools/apigen -lint
    "$oasdiff" validate "$description"
    ;;
  breaking)
    find_bases
    if [[ ${#bases[@]} == 0 ]]; then
      echo "no earlier commit has $description: there is no client to break yet"
      exit 0
    fi
    need_oasdiff
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for base in "${bases[@]}"; do compare "$base"; done
    ;;
  *)
    echo "openapi.sh: unknown check $1" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# Tests the console in a real Chromium: browser.sh check | test [arguments for go test]
#
#   check  vets, lints and looks whether go.mod is tidy
#   test   runs the tests under the race detector, beside a PostgreSQL of their own
#
# test/browser is a Go module of its own, and has the few things that it needs of npm beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command=${1:?check or test}
shift
case $command in
  check)
    (cd test/browser && CGO_ENABLED=0 go vet -trimpath ./... && go mod tidy -diff)
    LINT_IN=test/browser tools/golangci-lint.sh run ./...
    ;;
  test)
    tools/needs.sh npm
    tools/needs.sh chromium
    (cd test/browser && npm ci --no-audit --no-fund --ignore-scripts --silent)
    export CGO_ENABLED=1
    cd test/browser
    exec ../../bin/billctl dev exec -- go test -race -count=1 "$@" .
    ;;
  *)
    echo "browser.sh: unknown command $command" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# Makes sure that this machine has a tool, or says what to do: needs.sh go | cc | curl | npm | chromium
set -euo pipefail

case ${1:?which tool} in
  go)
    if ! command -v go >/dev/null; then
      echo "Go is missing: install Go 1.26 or later from https://go.dev/dl/ and put its bin folder on PATH." >&2
      exit 1
    fi
    ;;
  cc)
    compiler=$(go env CC)
    command -v "${compiler%% *}" >/dev/null && exit 0
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
      echo "installing gcc: Go's race detector needs a C compiler" >&2
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq </dev/null
      apt-get install -y -qq --no-install-recommends gcc libc6-dev </dev/null >/dev/null
      exit 0
    fi
    echo "A C compiler is missing, which Go's race detector needs: apt-get install gcc libc6-dev" >&2
    exit 1
    ;;
  curl)
    command -v curl >/dev/null && exit 0
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
      echo "installing curl: a test runs the README's session" >&2
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq </dev/null
      apt-get install -y -qq --no-install-recommends curl </dev/null >/dev/null
      exit 0
    fi
    echo "curl is missing, with which a test runs the README's session: install it with your package manager." >&2
    exit 1
    ;;
  npm)
    command -v npm >/dev/null && exit 0
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
      echo "installing Node.js and npm: the TypeScript client is compiled, and axe-core looks at the console's pages" >&2
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq </dev/null
      apt-get install -y -qq --no-install-recommends nodejs npm </dev/null >/dev/null
      exit 0
    fi
    echo "npm is missing, which compiles the TypeScript client and brings axe-core: install Node.js 18 or later with npm." >&2
    exit 1
    ;;
  chromium)
    # The same names as in test/browser/chrome_test.go.
    if [[ -n ${CHROME_BIN:-} ]]; then
      [[ -x $CHROME_BIN ]] && exit 0
      echo "CHROME_BIN names $CHROME_BIN, which is no program." >&2
      exit 1
    fi
    for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
      command -v "$name" >/dev/null && exit 0
    done
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
      echo "installing Chromium: the console is tested in a real browser" >&2
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq </dev/null
      apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core </dev/null >/dev/null
      exit 0
    fi
    echo "Chromium is missing, in which the console is tested: apt-get install chromium, or name a Chrome in CHROME_BIN." >&2
    exit 1
    ;;
  *)
    echo "needs.sh: unknown tool $1" >&2
    exit 2
    ;;
esac

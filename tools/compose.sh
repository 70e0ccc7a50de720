#!/usr/bin/env bash
# Runs docker-compose, whichever of its two versions this machine has (COMPOSE names another), for the tree's file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -n ${COMPOSE:-} ]]; then
  read -ra compose <<<"$COMPOSE"
elif docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  echo "Docker Compose is missing: install docker-compose or docker-compose-plugin." >&2
  exit 1
fi

# Without the buildx plug-in Docker can only use its classic builder, which has to be said.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
exec "${compose[@]}" "$@"

#!/usr/bin/env bash
# Proves docker-compose.yml on a running Docker engine: everything up from nothing, four workers, tasks carried out once
# each, no token in clear in the database, small images, clean exits, nothing left behind.
#
# Where the public images cannot be reached, STANDINS_SH names a script that builds local ones under the same names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

standins=${STANDINS_SH:-../shared/tools/docker-standins.sh}
merchants=3
tasks=60 # for each merchant

export COMPOSE_PROJECT_NAME=billonce-test API_PORT=0 STRIPESIM_PORT=0 # 0: any free port

say() { printf '== %s\n' "$*"; }
fail() { printf 'compose-test: %s\n' "$*" >&2; exit 1; }
compose() { tools/compose.sh "$@"; }

finish() {
  local code=$?
  if [[ $code != 0 ]]; then
    compose ps -a 2>/dev/null || compose ps || true
    compose logs --no-color --tail=30 || true
  fi
  compose down -v --remove-orphans >/dev/null 2>&1 || true
  exit "$code"
}

# published SERVICE PORT prints where on this machine the port is.
published() { compose port "$1" "$2" | tail -n 1; }

# field NAME prints the first value of a string field in a JSON document.
field() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

call() { # call METHOD PATH [BODY] prints the answer, and fails on any but a 2xx
  local method=$1 path=$2 body=${3:-}
  curl --silent --show-error --fail-with-body --max-time 30 --request "$method" "http://$api$path" \
    --header "Authorization: Bearer $key" ${body:+--header 'Content-Type: application/json' --data "$body"}
}

sql() { compose exec -T postgres psql --username=billonce --no-psqlrc --tuples-only --no-align --command="$1" </dev/null; }

if ! docker info >/dev/null 2>&1 && [[ -r $standins ]]; then
  say "preparing a Docker engine with $standins"
  bash "$standins" >/dev/null
fi
docker info >/dev/null 2>&1 || fail "no Docker engine answers"
trap finish EXIT

say "up from nothing, with four workers"
compose up -d --build --scale worker=4 >/tmp/"$COMPOSE_PROJECT_NAME".log 2>&1 ||
  { tail -n 40 /tmp/"$COMPOSE_PROJECT_NAME".log; fail "docker-compose up failed"; }
rm -f /tmp/"$COMPOSE_PROJECT_NAME".log

api=$(published api 8080)
key=$(compose run --rm -T keys keys show admin_api_key --dir /keys </dev/null 2>/dev/null | tr -d '\r')
[[ $key == billonce_admin_* ]] || fail "the admin key is not shown"
curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors --max-time 5 "http://$api/readyz" >/dev/null ||
  fail "the api does not become ready"

say "images"
for service in keys api worker stripesim; do
  image=$(docker inspect --format '{{.Image}}' "$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$service" | head -n 1)")
  read -r size user <<<"$(docker image inspect --format '{{.Size}} {{.Config.User}}' "$image")"
  printf '   %-10s %5d KiB, user %s\n' "$service" $((size / 1024)) "$user"
  ((size < 30 * 1024 * 1024)) || fail "the image of $service is 30 MiB or larger"
  [[ $user == 65532:65532 ]] || fail "the image of $service runs as $user"
done

say "$merchants merchants, $tasks tasks each"
for ((m = 0; m < merchants; m++)); do
  created=$(call POST /v1/merchants \
    "{\"name\":\"Merchant $m\",\"stripe_connect_id\":\"acct_compose$m\",\"access_token\":\"sk_test_acct_compose$m\"}")
  merchant=$(field id <<<"$created")
  batch=
  for ((n = 0; n < tasks; n++)); do
    batch+="${batch:+,}{\"merchant_id\":\"$merchant\",\"kind\":\"payment_intent.create\",\"params\":{\"amount\":$((100 + n)),\"currency\":\"usd\"},\"idempotency_key\":\"compose-$m-$n\"}"
  done
  call POST /v1/tasks/batch "{\"tasks\":[$batch]}" >/dev/null
  call POST /v1/tasks/batch "{\"tasks\":[$batch]}" >/dev/null # again, as a client does that got no answer
done

say "waiting for them"
total=$((merchants * tasks))
for ((i = 0; i < 120; i++)); do
  counts=$(sql "SELECT count(*) FILTER (WHERE status = 'succeeded') || ' ' || count(*) FROM scheduled_tasks")
  [[ $counts == "$total $total" ]] && break
  sleep 0.5
done
[[ $counts == "$total $total" ]] || fail "of (succeeded all) there are $counts, not $total $total"

say "one effect each"
effects=$(curl --silent --fail --max-time 30 "http://$(published stripesim 12111)/_sim/ledger" | grep -o '"idempotency_key":"task_[^"]*"' | sort)
[[ $(wc -l <<<"$effects") == "$total" ]] || fail "the ledger has $(wc -l <<<"$effects") effects, not $total"
[[ $(uniq <<<"$effects" | wc -l) == "$total" ]] || fail "a task had two effects"

say "the operator's command"
compose build billctl >/dev/null 2>&1
compose run --rm -T billctl merchants list </dev/null 2>/dev/null | grep -q "Merchant 0" || fail "billctl does not list the merchants"

compose run --rm -T billctl doctor </dev/null >/tmp/"$COMPOSE_PROJECT_NAME".log 2>&1 ||
  { cat /tmp/"$COMPOSE_PROJECT_NAME".log; fail "billctl doctor finds something in an installation that is well"; }

say "its keys"
compose build rotate >/dev/null 2>&1
for command in status verify rotate; do
  compose run --rm -T rotate keys "$command" </dev/null >/tmp/"$COMPOSE_PROJECT_NAME".log 2>&1 ||
    { cat /tmp/"$COMPOSE_PROJECT_NAME".log; fail "billctl keys $command does not end well"; }
done
rm -f /tmp/"$COMPOSE_PROJECT_NAME".log

say "a role for each"
users=$(sql "SELECT string_agg(DISTINCT usename, ' ' ORDER BY usename) FROM pg_stat_activity WHERE application_name IN ('billonce-api', 'billonce-worker')")
[[ $users == "billonce_api billonce_worker" ]] || fail "the services are in the database as $users"

say "no token in clear"
if compose exec -T postgres pg_dump --username=billonce billonce </dev/null | grep -q sk_test_acct_compose; then
  fail "a token is in clear in the database"
fi

say "stopping"
compose stop >/dev/null 2>&1
while read -r id; do
  read -r name code <<<"$(docker inspect --format '{{.Name}} {{.State.ExitCode}}' "$id")"
  [[ $code == 0 ]] || fail "$name ended with exit code $code"
done < <(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")

say "starting again with what is there"
compose up -d --scale worker=2 >/dev/null 2>&1
api=$(published api 8080)
curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors --max-time 5 "http://$api/readyz" >/dev/null ||
  fail "the api does not become ready again"
call GET "/v1/tasks?status=succeeded&limit=1" | grep -q '"succeeded"' || fail "the tasks are gone"

say "down"
compose down -v >/dev/null 2>&1
left=$(docker volume ls -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")
[[ -z $left ]] || fail "volumes are left: $left"
say "passed"

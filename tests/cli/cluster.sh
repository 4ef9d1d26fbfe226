#!/bin/bash
# Walks through what an operator does to a cluster: three nodes of `tidemark dev --nodes 3`; one is drained, one killed, one
# loses its disk, a fourth joins, one leaves for good. Under a minute. TIDEMARK names the binary (default: target/debug/tidemark).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
tidemark=${TIDEMARK:-${CARGO_TARGET_DIR:-$root/target}/debug/tidemark}
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null && wait "$pid" 2> /dev/null; done; rm -rf "$work"' EXIT
. "$root/tests/cli/lib.sh"

"$tidemark" dev --nodes 3 --data "$work/data" --port 0 > "$work/events" 2> "$work/log" &
pids+=($!)
for _ in $(seq 600); do grep -q ' ready ' "$work/events" && break; sleep 0.1; done
export TIDEMARK_SERVER=$(sed -n 's/.* ready nodes=3 kafka=\([^ ]*\) .*/\1/p' "$work/events")

healthy() { "$tidemark" cluster health --min-free 0% --wait-healthy 40s; }
broker() { json "[\"data\"][\"brokers\"]" "$tidemark" broker list | python3 -c 'import ast,sys; print({b["id"]: b for b in ast.literal_eval(sys.stdin.read())}[int(sys.argv[1])][sys.argv[2]])' "$1" "$2"; }
has_event() { "$tidemark" cluster events -n 500 -o tsv | cut -f 2 | grep -qx "$1"; }
start() { "$tidemark" start "$@" > "$work/started" 2>> "$work/log" & pids+=($!); }

exits 0 "$tidemark" topic create walk -p 6 -r 3
seq 1 1000 > "$work/in"
exits 0 "$tidemark" produce walk --file "$work/in"
exits 0 healthy
is 3 json '["data"]["brokers"].__len__()' "$tidemark" cluster status
is 3 json '["data"]["voters_up"]' "$tidemark" cluster quorum
is 3 json '["data"]["log_dirs"].__len__()' "$tidemark" broker logdirs
is 6 json '["data"]["partitions"].__len__()' "$tidemark" broker describe 2
exits 3 "$tidemark" broker describe 9
exits 0 "$tidemark" broker can-restart 2

# Maintenance of one.
exits 0 "$tidemark" broker drain 2 --dry-run
is up broker 2 state
exits 0 "$tidemark" broker drain 2 --wait
is 'drained 0' sh -c "echo $(broker 2 state) $(broker 2 leaders)"
exits 0 "$tidemark" broker drain 1
refuses 6 'the last one that may lead' "$tidemark" broker drain 3
exits 0 "$tidemark" broker undrain 1
exits 0 "$tidemark" broker undrain 2
is 2 broker 2 leaders
exits 3 "$tidemark" broker drain 9
refuses 6 'voters of the metadata quorum' "$tidemark" broker decommission 2 --yes
has_event drain_began

# One dies, and comes back.
kill -9 "$(cat "$work/data/node-3/pid")"
unhealthy() { "$tidemark" cluster health --min-free 0%; [ $? = 10 ]; }
until_ok unhealthy
refuses 6 'lose its majority' "$tidemark" broker can-restart 1
exits 1 "$tidemark" cluster health --min-free 0% --format nagios
exits 7 "$tidemark" cluster health --min-free 0% --wait-healthy 1s
start -c "$work/data/node-3/tidemark.toml"
exits 0 healthy

# One loses its disk.
kill -9 "$(cat "$work/data/node-3/pid")"
until_ok unhealthy
find "$work/data/node-3" -mindepth 1 ! -name tidemark.toml -delete
start -c "$work/data/node-3/tidemark.toml"
exits 0 healthy
is 1000 sh -c "'$tidemark' consume walk -e | wc -l"

# A fourth joins and gets its share.
start -c "$work/data/node-1/tidemark.toml" --set node.id=4 --set "node.data_dir=$work/data/node-4" \
  --set listener.PLAINTEXT.bind=127.0.0.1:0 --set peer.bind=127.0.0.1:0
joined() { [ "$(broker 4 state)" = up ]; }
until_ok joined
exits 0 "$tidemark" cluster balance plan
exits 8 "$tidemark" cluster balance run
exits 0 "$tidemark" cluster balance run --yes --wait=40s
is 0 json '["data"]["partitions"].__len__()' "$tidemark" cluster balance plan
exits 0 "$tidemark" cluster elect-leaders
exits 0 "$tidemark" cluster reassign plan --off 4 --topic walk
exits 6 "$tidemark" cluster reassign plan --to 1,2 --topic walk

# One leaves for good.
exits 0 "$tidemark" broker decommission 2 --dry-run
exits 8 "$tidemark" broker decommission 2
exits 0 "$tidemark" broker decommission 2 --yes --wait=40s
exits 0 "$tidemark" broker decommission 2 --status
kill "$(cat "$work/data/node-2/pid")"
gone() { "$tidemark" broker decommission 2 --status; [ $? = 3 ]; }
until_ok gone
exits 0 healthy
is '1 3 4' sh -c "'$tidemark' broker list -o tsv | tail -n +2 | cut -f 1 | xargs"
is 1000 sh -c "'$tidemark' consume walk -e | wc -l"
echo "cli walk through a cluster: $checks checks passed"

#!/bin/bash
# Walks through the verbs of the command line against any Kafka: the same walk, the same answers.
#   tests/cli/run.sh                  against a broker of its own (tidemark dev --ephemeral), then through a cluster (cluster.sh)
#   tests/cli/run.sh HOST:PORT        against the Kafka there, such as Apache Kafka
# TIDEMARK names the binary (default: target/debug/tidemark). Uses topics and groups whose names begin with cli-walk-.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
tidemark=${TIDEMARK:-${CARGO_TARGET_DIR:-$root/target}/debug/tidemark}
work=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || { kill "$broker"; wait "$broker" || true; }; rm -rf "$work"' EXIT

own=$#
if [ $# -eq 0 ]; then
  "$tidemark" dev --ephemeral --port 0 > "$work/events" 2> "$work/log" &
  broker=$!
  for _ in $(seq 100); do grep -q ' ready ' "$work/events" && break; sleep 0.1; done
  set -- "$(sed -n 's/.* ready kafka=\([^ ]*\) .*/\1/p' "$work/events")"
fi
export TIDEMARK_SERVER=$1
topic=cli-walk-$$ group=cli-walk-group-$$
. "$root/tests/cli/lib.sh"

# config KEY: its value in the topic's description.
config() {
  "$tidemark" topic describe "$topic" -o tsv --section config --all | awk -F '\t' -v key="$1" '$1 == key { print $2 }'
}

exits 0 "$tidemark" topic create "$topic" -p 2 -c retention.ms=12h --dry-run
exits 3 "$tidemark" topic describe "$topic"
exits 0 "$tidemark" topic create "$topic" -p 2 -c retention.ms=12h
exits 6 "$tidemark" topic create "$topic"
exits 0 "$tidemark" topic create "$topic" --if-not-exists
is 43200000 config retention.ms
for codec in none gzip snappy lz4 zstd; do
  printf "$codec-1\tone\n$codec-2\ttwo\n$codec-3\t\n" > "$work/in"
  exits 0 "$tidemark" produce "$topic" -f '%k\t%v\n' -H "codec=$codec" -Z -z "$codec" --file "$work/in"
  is "$codec-1|one|codec=$codec|3
$codec-2|two|codec=$codec|3
$codec-3||codec=$codec|-1" sh -c "'$tidemark' consume $topic -e -G 'k:^$codec' -f '%k|%v|%h|%S\n' | sort"
done
seq 1 1000 > "$work/in"
for acks in all 1 0; do exits 0 "$tidemark" produce "$topic" -p 0 --acks $acks --file "$work/in"; done
is 1000 "$tidemark" consume "$topic" -p 0 -o -1 -e
is "$(seq 991 1000)" "$tidemark" consume "$topic" -p 0 --tail 10 -n 10
is 3015 sh -c "'$tidemark' consume $topic -e -o @-1h | wc -l"
is '' "$tidemark" consume "$topic" -e -o end
exits 6 "$tidemark" consume "$topic" -p 0 -o 1000000 -n 1
is 3000 sh -c "'$tidemark' consume $topic -g $group -e -G 'v:^[0-9]+$' | wc -l"
is '' "$tidemark" consume "$topic" -g "$group" -e
is 0 json '["data"]["groups"][0]["lag"]' "$tidemark" group describe "$group"
is Empty json '["data"]["groups"][0]["state"]' "$tidemark" group list "$group"
exits 0 "$tidemark" group seek "$group" --to -2 --topics "$topic:0"
is '' "$tidemark" consume "$topic" -g "$group" -e
exits 0 "$tidemark" group seek "$group" --to -2 --topics "$topic:0" --execute
is '999
1000' "$tidemark" consume "$topic" -g "$group" -e
exits 0 "$tidemark" topic alter "$topic" --set segment.bytes=8MiB --set max.message.bytes=2MiB
is 8388608 json '["data"]["configs"][0]["before"]' "$tidemark" topic alter "$topic" --unset segment.bytes
exits 6 "$tidemark" topic alter "$topic" --set no.such.key=1
exits 0 "$tidemark" topic add-partitions "$topic" --add 1 -y
is 3 json '["data"]["topics"][0]["partitions"]' "$tidemark" topic list "$topic"
exits 6 "$tidemark" topic add-partitions "$topic" --to 1 -y
exits 8 "$tidemark" topic trim "$topic" --to end
exits 0 "$tidemark" topic trim "$topic" --to end --yes --confirm "$topic"
is '' "$tidemark" consume "$topic" -e
exits 8 "$tidemark" group delete "$group"
exits 0 "$tidemark" group delete "$group" --yes
exits 3 "$tidemark" group describe "$group"
exits 8 "$tidemark" topic delete "$topic" --yes
exits 0 "$tidemark" cluster status
exits 0 "$tidemark" cluster health --min-free 0% --wait-healthy 10s
exits 0 "$tidemark" cluster health --min-free 0% --format nagios
is 'tidemark_cluster_healthy 1' sh -c "'$tidemark' cluster health --min-free 0% --format prometheus | grep ^tidemark_cluster_healthy"
exits 0 "$tidemark" cluster quorum
exits 0 "$tidemark" cluster elect-leaders --topic "$topic"
exits 3 "$tidemark" cluster elect-leaders --topic "no-$topic"
exits 0 "$tidemark" cluster balance plan
exits 2 "$tidemark" cluster reassign plan
exits 0 "$tidemark" cluster reassign status
exits 0 "$tidemark" cluster reassign cancel
id=$(json '["data"]["brokers"][0]["id"]' "$tidemark" broker list)
is "$id" json '["data"]["log_dirs"][0]["broker"]' "$tidemark" broker logdirs
is "$id" json '["data"]["broker"]["id"]' "$tidemark" broker describe "$id"
exits 3 "$tidemark" broker describe 99999
exits 3 "$tidemark" broker can-restart 99999
exits 0 "$tidemark" topic delete "$topic" --yes --confirm "$topic"
exits 3 "$tidemark" consume "$topic" -e
echo "cli walk against $TIDEMARK_SERVER: $checks checks passed"
if [ "$own" = 0 ]; then TIDEMARK=$tidemark "$root/tests/cli/cluster.sh"; fi

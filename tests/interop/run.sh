#!/bin/bash
# Runs real Kafka clients against a broker and prints a line per check: `suite check PASS` or `suite check FAIL why`.
#
#   tests/interop/run.sh [--quick] [suite…]      suites: see README.md; all of them when none is named
#
#   BOOTSTRAP=host:port   the broker. When unset, `tidemark dev --ephemeral` is started from target/release or target/debug.
#   NODES=3               a cluster of so many nodes instead, where topics get three replicas
#   TIDEMARK=path         the binary to start instead
#   WORK=dir              downloads and builds (default: ${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-interop); nothing is written here
#   ONLY="check …"        only these checks
#   INSTALL_ONLY=1        fetch and build the clients, run nothing
#
# What a suite said is kept in a folder of the run in WORK when something failed. The last lines are the checks that failed, then the sum.
# The exit status is 0 when every check of every suite passed, 1 when one failed or hung, 2 when a suite could not be installed.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export WORK=${WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-interop}
all=(kcat java franz-go sarama kafka-go kafka-python confluent-kafka aiokafka kafkajs)
quick=""
suites=()
for argument in "$@"; do
  case $argument in
    --quick) quick=1 ;;
    -*) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    *) suites+=("$argument") ;;
  esac
done
[ ${#suites[@]} -gt 0 ] || suites=("${all[@]}")
for suite in "${suites[@]}"; do
  [ -x "$here/$suite/run.sh" ] || { echo "no suite is called $suite; there are: ${all[*]}" >&2; exit 2; }
done
export QUICK=$quick
mkdir -p "$WORK"

for suite in "${suites[@]}"; do
  if ! "$here/$suite/install.sh" > "$WORK/install-$suite.log" 2>&1; then
    tail -20 "$WORK/install-$suite.log"
    echo "$suite install FAIL see $WORK/install-$suite.log"
    exit 2
  fi
done
[ -z "${INSTALL_ONLY:-}" ] || exit 0

# Each run has a folder of its own, so that two at a time do not write over each other's words.
run=$(mktemp -d "$WORK/run-XXXXXX")
failures=()
broker=""
# Stops the broker of this run; how it ended is its status.
stop_broker() {
  [ -n "$broker" ] || return 0
  local pid=$broker status=0
  broker=""
  kill "$pid" 2> /dev/null
  wait "$pid" 2> /dev/null || status=$?
  return $status
}
finish() {
  stop_broker
  [ ${#failures[@]} -gt 0 ] || rm -rf "$run"
}
trap finish EXIT
start_broker() {
  local target=${CARGO_TARGET_DIR:-$here/../../target} binary=${TIDEMARK:-} candidate
  for candidate in "$target/release/tidemark" "$target/debug/tidemark"; do
    [ -n "$binary" ] || { [ -x "$candidate" ] && binary=$candidate; }
  done
  [ -n "$binary" ] || { echo "no tidemark binary; cargo build first, or set BOOTSTRAP" >&2; exit 2; }
  "$binary" dev --ephemeral --nodes "${NODES:-1}" --port 0 > "$run/broker.out" 2> "$run/broker.log" &
  broker=$!
  for _ in $(seq 300); do
    BOOTSTRAP=$(sed -n 's/.* ready .*kafka=\([^ ]*\) .*/\1/p' "$run/broker.out")
    [ -n "$BOOTSTRAP" ] && { export BOOTSTRAP; return 0; }
    kill -0 "$broker" 2> /dev/null || break
    sleep 0.1
  done
  failures+=("the broker did not get ready")
  tail -20 "$run/broker.out" "$run/broker.log" >&2
  echo "the broker did not get ready; see $run" >&2
  exit 2
}
[ -n "${BOOTSTRAP:-}" ] || start_broker

# A suite bounds each of its checks; this bounds the suite should the client itself hang.
suite_seconds=$([ -n "$quick" ] && echo 240 || echo 900)
passed=0 failed=0
# fail LINE: counts a failure that no check told of, and says it.
fail() {
  echo "$1"
  failures+=("$1")
  failed=$((failed + 1))
}
for suite in "${suites[@]}"; do
  began=$SECONDS
  output=$run/result-$suite.txt problems=$run/stderr-$suite.log before=$failed
  timeout -k 10 "$suite_seconds" "$here/$suite/run.sh" 2> "$problems" | tee "$output" | grep -vE '^[0-9]+ passed, [0-9]+ failed$'
  status=${PIPESTATUS[0]}
  p=$(grep -cE "^$suite [a-z0-9-]+ PASS" "$output")
  while IFS= read -r line; do
    failures+=("$line")
    failed=$((failed + 1))
  done < <(grep -E "^$suite [a-z0-9-]+ FAIL" "$output")
  if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
    fail "$suite whole-suite FAIL no end after $suite_seconds s"
  elif [ "$status" -ne 0 ] && [ "$failed" -eq "$before" ]; then
    fail "$suite whole-suite FAIL status $status: $(tail -1 "$problems" | cut -c1-200)"
  elif [ "$p" -eq 0 ]; then
    fail "$suite whole-suite FAIL no check ran"
  fi
  passed=$((passed + p))
  if [ -n "$broker" ] && ! kill -0 "$broker" 2> /dev/null; then
    stop_broker
    fail "$suite whole-suite FAIL the broker is gone with status $?"
    break
  fi
  echo "$suite: $p passed, $((failed - before)) failed ($((SECONDS - began)) s)"
  [ "$failed" -eq "$before" ] || tail -8 "$problems" | cut -c1-300
done
stop_broker || fail "broker stop FAIL it did not end cleanly"
if [ "$failed" -gt 0 ]; then
  printf '\nwhat the suites said: %s\n' "$run"
  if [ -f "$run/broker.log" ]; then
    echo "the end of the broker's log:"
    tail -15 "$run/broker.log" | cut -c1-300
  fi
  printf '%s\n' "${failures[@]}"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

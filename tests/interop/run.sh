#!/bin/bash
# Runs real Kafka clients against a broker and prints a line per check: `suite check PASS` or `suite check FAIL why`.
#
#   tests/interop/run.sh [--quick] [suite…]      suites: see README.md; all of them when none is named
#
#   BOOTSTRAP=host:port   the broker. When unset, `tidemark dev --ephemeral` is started from target/release or target/debug.
#   TIDEMARK=path         the binary to start instead
#   WORK=dir              downloads and builds (default: ${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-interop); nothing is written here
#   ONLY="check …"        only these checks
#   INSTALL_ONLY=1        fetch and build the clients, run nothing
#
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
    -*) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
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
    echo "$suite install FAIL see $WORK/install-$suite.log"
    tail -5 "$WORK/install-$suite.log" >&2
    exit 2
  fi
done
[ -z "${INSTALL_ONLY:-}" ] || exit 0

broker=""
stop_broker() {
  [ -n "$broker" ] || return 0
  kill "$broker" 2> /dev/null
  wait "$broker" 2> /dev/null
  broker=""
}
trap stop_broker EXIT
start_broker() {
  local target=${CARGO_TARGET_DIR:-$here/../../target} binary=${TIDEMARK:-} candidate
  for candidate in "$target/release/tidemark" "$target/debug/tidemark"; do
    [ -n "$binary" ] || { [ -x "$candidate" ] && binary=$candidate; }
  done
  [ -n "$binary" ] || { echo "no tidemark binary; cargo build first, or set BOOTSTRAP" >&2; exit 2; }
  local port=19800
  while (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do port=$((port + 1)); done
  "$binary" dev --ephemeral --port "$port" > "$WORK/broker.log" 2>&1 &
  broker=$!
  export BOOTSTRAP=127.0.0.1:$port
  for _ in $(seq 100); do
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && return 0
    kill -0 "$broker" 2> /dev/null || break
    sleep 0.1
  done
  echo "the broker does not answer on $port:" >&2
  tail -20 "$WORK/broker.log" >&2
  exit 2
}
[ -n "${BOOTSTRAP:-}" ] || start_broker

# A suite bounds each of its checks; this bounds the suite should the client itself hang.
suite_seconds=$([ -n "$quick" ] && echo 240 || echo 900)
passed=0 failed=0
for suite in "${suites[@]}"; do
  began=$SECONDS
  output=$WORK/result-$suite.txt
  timeout -k 10 "$suite_seconds" "$here/$suite/run.sh" 2> "$WORK/stderr-$suite.log" | tee "$output" | grep -vE '^[0-9]+ passed, [0-9]+ failed$'
  status=${PIPESTATUS[0]}
  p=$(grep -cE "^$suite [a-z0-9-]+ PASS" "$output")
  f=$(grep -cE "^$suite [a-z0-9-]+ FAIL" "$output")
  if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
    echo "$suite whole-suite FAIL no end after $suite_seconds s"
    f=$((f + 1))
  elif [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
    echo "$suite whole-suite FAIL status $status: $(tail -1 "$WORK/stderr-$suite.log" | cut -c1-200)"
    f=1
  elif [ "$p" -eq 0 ]; then
    echo "$suite whole-suite FAIL no check ran"
    f=$((f + 1))
  fi
  echo "$suite: $p passed, $f failed ($((SECONDS - began)) s)"
  passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

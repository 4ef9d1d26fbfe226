# Helpers of .ci/run and .ci/full.

BIN=${CARGO_TARGET_DIR:-target}/release/tidemark
PEERS=../shared/peers
# What each step printed, a file each, for the summary.
LOGS=$(mktemp -d)
FAILED=()
# Lines of a failed step that say what failed.
TELLING='FAIL|FAILED|WRONG|unexpected:|panicked|^ *(left|right): |^error|^  *[0-9]+: error|error(\[E[0-9]+\])?:|assertion|Diff in|did not stop|not built'

# install_packages NAME…: Debian packages that are missing.
install_packages() {
  local missing=()
  for name in "$@"; do dpkg -s "$name" > /dev/null 2>&1 || missing+=("$name"); done
  [ ${#missing[@]} -eq 0 ] && return
  apt-get update -q > /dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}" > /dev/null
}

# step NAME COMMAND…: runs it, once, says how long it took; a failure is remembered and the next step runs.
step() {
  local name=$1 start=$SECONDS status=0 log; shift
  log=$LOGS/${name//[^A-Za-z0-9]/-}
  printf '\n=== %s: %s\n' "$name" "$*"
  "$@" 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
  printf '=== %s: %s after %ss\n' "$name" "$([ $status -eq 0 ] && echo ok || echo "FAILED ($status)")" $((SECONDS - start))
  [ $status -eq 0 ] || FAILED+=("$name")
}

# listed SUITE REASON: the tests of a suite of others that are listed for a reason, "waits for" or "races".
listed() { grep -E "^$1 [^ ]+ — $2: " tests/interop/excluded.txt | cut -d' ' -f2; }

# judge SUITE EXPECTED PRINTED: every test that passes on Apache Kafka has passed, but for those that are listed; and none passes that
# waits for a part of the product, so that the list shrinks. A test that did not run has not passed.
judge() {
  local suite=$1 expected=$2 printed=$3 passed missing early
  passed=$(awk '$2 ~ /^PASS/ { print $1 }' "$printed")
  missing=$(for name in $expected; do awk '$2 == "PASS" { print $1 }' "$PEERS/expected/$name.txt"; done |
    grep -vxFf <(listed "$suite" "waits for"; listed "$suite" races) | grep -vxFf <(echo "$passed") || true)
  early=$(listed "$suite" "waits for" | grep -xFf <(echo "$passed") || true)
  [ -z "$missing" ] || printf 'unexpected: %s passes on Apache Kafka and not here\n' $missing
  [ -z "$early" ] || printf 'unexpected: %s passes, so it no longer belongs into tests/interop/excluded.txt\n' $early
  [ -z "$missing$early" ] && echo "every test of $expected that waits for nothing passed"
}

# peers SUITE "EXPECTED …" PORT "KEY=VALUE …" COMMAND…: a suite of others against a fresh broker with these settings, or against NODES of
# them, where topics get three replicas. EXPECTED names what Apache Kafka scored in it.
peers() {
  local suite=$1 expected=$2 port=$3 sets=$4 args=() out pid status=0; shift 4
  for set in $sets; do args+=(--set "$set"); done
  out=$(mktemp -d)
  "$BIN" dev --ephemeral --nodes "${NODES:-1}" --port "$port" "${args[@]}" > "$out/ready" 2> "$out/log" &
  pid=$!
  for _ in $(seq 300); do grep -q ' ready ' "$out/ready" && break; kill -0 $pid 2> /dev/null || break; sleep 0.1; done
  BOOTSTRAP=127.0.0.1:$port "$PEERS/$1" "${@:2}" 2> "$out/stderr" | tee "$out/suite" || true
  judge "$suite" "$expected" "$out/suite" || status=1
  kill -TERM $pid 2> /dev/null || true
  wait $pid || { echo "the broker did not stop cleanly"; status=1; }
  if [ $status -ne 0 ]; then
    echo "what the suite said beside its results:"; tail -20 "$out/stderr" | cut -c1-300
    echo "the end of the broker's log:"; tail -20 "$out/log" | cut -c1-300
  fi
  return $status
}

# with_kafka PORT COMMAND…: runs the command beside a fresh Apache Kafka.
with_kafka() {
  local port=$1 pid status=0; shift
  pid=$(PORT=$port tests/interop/start_kafka.sh) || return 1
  "$@" || status=$?
  kill "$pid"
  return $status
}

# Says what failed, last of all: only the end of a long log is looked at.
summary() {
  if [ ${#FAILED[@]} -eq 0 ]; then
    printf '\nall steps passed\n'
    exit 0
  fi
  local name log
  for name in "${FAILED[@]}"; do
    log=$LOGS/${name//[^A-Za-z0-9]/-}
    printf '\n--- %s: the lines that tell\n' "$name"
    grep -nE "$TELLING" "$log" | tail -25 | cut -c1-300
    printf -- '--- %s: the end\n' "$name"
    tail -15 "$log" | cut -c1-300
  done
  printf '\nFAILED: %s\n' "${FAILED[@]}"
  exit 1
}

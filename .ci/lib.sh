# Helpers of .ci/run and .ci/full.

BIN=${CARGO_TARGET_DIR:-target}/release/tidemark
FAILED=()

# install_packages NAME…: Debian packages that are missing.
install_packages() {
  local missing=()
  for name in "$@"; do dpkg -s "$name" > /dev/null 2>&1 || missing+=("$name"); done
  [ ${#missing[@]} -eq 0 ] && return
  apt-get update -q > /dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}" > /dev/null
}

# step NAME COMMAND…: runs it, says how long it took; a failure is remembered and the next step runs.
step() {
  local name=$1 start=$SECONDS status=0; shift
  printf '\n=== %s: %s\n' "$name" "$*"
  "$@" || status=$?
  printf '=== %s: %s after %ss\n' "$name" "$([ $status -eq 0 ] && echo ok || echo "FAILED ($status)")" $((SECONDS - start))
  [ $status -eq 0 ] || FAILED+=("$name")
}

# with_broker PORT "KEY=VALUE …" COMMAND…: runs the command against a fresh broker. Tests that wait for parts of the product listed in
# tests/interop/excluded.txt do not count.
with_broker() {
  local port=$1 sets=$2 args=() out pid status=0; shift 2
  for set in $sets; do args+=(--set "$set"); done
  out=$(mktemp)
  "$BIN" dev --ephemeral --port "$port" "${args[@]}" > "$out" 2> "$out.log" &
  pid=$!
  for _ in $(seq 100); do grep -q ' ready ' "$out" && break; kill -0 $pid 2> /dev/null || break; sleep 0.1; done
  BOOTSTRAP=127.0.0.1:$port "$@" > "$out.suite" || status=$?
  kill -TERM $pid; wait $pid || { echo "the broker did not stop cleanly"; status=1; }
  cat "$out.suite"
  [ $status -eq 0 ] && return 0
  # A suite that failed only in tests that wait for something has passed.
  local unexpected
  unexpected=$(grep -E ' FAIL' "$out.suite" | awk '{print $1}' | grep -vxFf <(awk '!/^#/ {print $2}' tests/interop/excluded.txt) || true)
  [ -z "$unexpected" ] && { echo "(all failures wait for parts of the product that are listed)"; return 0; }
  printf 'unexpected: %s\n' $unexpected
  tail -50 "$out.log"
  return 1
}

# with_kafka PORT COMMAND…: runs the command beside a fresh Apache Kafka.
with_kafka() {
  local port=$1 pid status=0; shift
  pid=$(PORT=$port tests/interop/start_kafka.sh) || return 1
  "$@" || status=$?
  kill "$pid"
  return $status
}

summary() {
  if [ ${#FAILED[@]} -gt 0 ]; then
    printf '\nFAILED: %s\n' "${FAILED[@]}"
    exit 1
  fi
  printf '\nall steps passed\n'
}

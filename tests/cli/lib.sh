# What the walks share: checks that stop at the first wrong answer. Sourced; needs $work, a directory for what commands say.
checks=0

# is EXPECTED COMMAND…: the command succeeds and prints exactly this.
is() {
  local expected=$1 got; shift
  got=$("$@" 2> "$work/err") || { echo "FAILED: $*"; cat "$work/err"; exit 1; }
  [ "$got" = "$expected" ] || { printf 'WRONG: %s\nexpected: %q\n     got: %q\n' "$*" "$expected" "$got"; exit 1; }
  checks=$((checks + 1))
}
# exits CODE COMMAND…: the command ends with this code.
exits() {
  local expected=$1 code=0; shift
  "$@" > "$work/out" 2> "$work/err" < /dev/null || code=$?
  [ "$code" = "$expected" ] || { echo "WRONG: $* exits $code, not $expected"; cat "$work/out" "$work/err"; exit 1; }
  checks=$((checks + 1))
}
# refuses CODE WORDS COMMAND…: the command ends with this code and says why in these words.
refuses() {
  local words=$2
  exits "$1" "${@:3}"
  grep -q -- "$words" "$work/err" || { echo "WRONG: ${*:3} does not say \"$words\""; cat "$work/err"; exit 1; }
}
# json PATH COMMAND…: a value of the command's JSON.
json() {
  local path=$1; shift
  "$@" --json | python3 -c 'import json,sys; v=json.load(sys.stdin); print(eval("v"+sys.argv[1]))' "$path"
}
# until_ok COMMAND…: tries it again for ten seconds until it succeeds.
until_ok() {
  for _ in $(seq 50); do "$@" > "$work/out" 2> "$work/err" && { checks=$((checks + 1)); return; }; sleep 0.2; done
  echo "NEVER: $*"; cat "$work/out" "$work/err"; exit 1
}

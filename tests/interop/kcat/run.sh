#!/bin/bash
# The checks that kcat can make: it has no admin calls, so topics come by auto-creation, with what partitions the broker gives.
# Needs BOOTSTRAP, as run.sh one folder up sets it.
set -uo pipefail
run=$RANDOM$RANDOM
t=interop-kcat-$run
passed=0 failed=0
folder=$(mktemp -d)
members=()
finish() {
  for pid in "${members[@]}"; do kill "$pid" 2> /dev/null; done
  rm -rf "$folder"
}
trap finish EXIT
quick=${QUICK:-}
records=$([ -n "$quick" ] && echo 3000 || echo 10000)

k() { timeout -k 5 40 kcat -b "$BOOTSTRAP" -m 20 "$@" 2> "$folder/stderr"; }
consume() { k -C -o beginning -e -q "$@"; }
wanted() { [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $1 "* ]]; }

# same NAME GOT WANT
same() {
  wanted "$1" || return 0
  if [ "$2" = "$3" ]; then
    echo "kcat $1 PASS"
    passed=$((passed + 1))
  else
    echo "kcat $1 FAIL got '$(head -c 90 <<< "$2" | tr '\n' ' ')', want '$(head -c 90 <<< "$3" | tr '\n' ' ')' $(head -1 "$folder/stderr" | head -c 100)"
    failed=$((failed + 1))
  fi
}
same_file() { same "$1" "$(cmp -s "$2" "$3" && echo same || echo "different: $(wc -l < "$2") lines, want $(wc -l < "$3")")" same; }

for i in $(seq "$records"); do echo "key $((i % 7)):value $i"; done > "$folder/in"
head -500 "$folder/in" > "$folder/few"

for codec in none gzip snappy lz4 zstd; do
  [ -z "$quick" ] || [[ " none snappy zstd " == *" $codec "* ]] || continue
  k -P -t "$t-$codec" -p 0 -K: -z "$codec" -X acks=all -H name=one -H name=two < "$folder/few"
  consume -t "$t-$codec" -p 0 -f '%k:%s|%h\n' > "$folder/out"
  sed 's/$/|name=one,name=two/' "$folder/few" > "$folder/want"
  same_file "roundtrip-$codec" "$folder/out" "$folder/want"
done

printf 'tombstone:' | k -P -t "$t-null" -p 0 -K: -Z
same null-value "$(consume -t "$t-null" -p 0 -f '%k %S')" "tombstone -1"

head -c 900000 /dev/urandom | base64 -w0 | head -c 900000 > "$folder/large"
k -P -t "$t-large" -p 0 "$folder/large"
consume -t "$t-large" -p 0 -f '%s' > "$folder/out"
same_file large-record "$folder/out" "$folder/large"

k -P -t "$t-many" -p 0 -K: -z lz4 < "$folder/in"
consume -t "$t-many" -p 0 -f '%k:%s\n' > "$folder/out"
same_file many-records "$folder/out" "$folder/in"

k -P -t "$t-idempotent" -p 0 -K: -X enable.idempotence=true < "$folder/few"
consume -t "$t-idempotent" -p 0 -f '%k:%s\n' > "$folder/out"
same_file idempotent-producer "$folder/out" "$folder/few"

k -P -t "$t-acks" -p 0 -K: -X acks=0 < "$folder/few"
for _ in $(seq 100); do
  consume -t "$t-acks" -p 0 -f '%k:%s\n' > "$folder/out"
  cmp -s "$folder/out" "$folder/few" && break
  sleep 0.2
done
same_file acks-0 "$folder/out" "$folder/few"

echo early | k -P -t "$t-time" -p 0
sleep 1.1
between=$(date +%s%3N)
sleep 0.1
echo late | k -P -t "$t-time" -p 0
ask() { k -Q -t "$t-time:0:$1" | grep -oE -- '-?[0-9]+$'; }
same offsets "$(ask -2) $(ask -1) $(ask "$between") $(ask $((between + 60000)))" "0 2 1 -1"
same offsets-read "$(consume -t "$t-time" -p 0 -o "s@$between")$(consume -t "$t-time" -p 0 -o -1)" "latelate"

group=(-G "$t-group" -X auto.offset.reset=earliest -X session.timeout.ms=10000 -X heartbeat.interval.ms=500)
first=$(k "${group[@]}" -c 200 -q "$t-none" | wc -l)
second=$(k "${group[@]}" -c 300 -q "$t-none" | wc -l)
third=$(timeout 10 kcat -b "$BOOTSTRAP" "${group[@]}" -e -q "$t-none" 2> /dev/null | wc -l)
same group-resume "$first $second $third" "200 300 0"

# Two members share two topics, then one leaves. There are as many partitions as auto-creation makes, one of each topic at least.
shared=("$t-share-a" "$t-share-b")
for topic in "${shared[@]}"; do echo before | k -P -t "$topic" -p 0; done
count=$(k -L -t "${shared[0]}" | grep -cE '^ +partition [0-9]+,')
to_all() { local topic p; for topic in "${shared[@]}"; do for p in $(seq 0 $((count - 1))); do k -P -t "$topic" -p "$p" < "$1"; done; done; }
# From the earliest: a member may be told its partitions long before it looks up where they end.
join() {
  exec kcat -b "$BOOTSTRAP" -G "$t-share-group" -X auto.offset.reset=earliest -X session.timeout.ms=10000 -X heartbeat.interval.ms=500 \
    -X partition.assignment.strategy=roundrobin -X auto.commit.interval.ms=200 -u -f '%s\n' "${shared[@]}" > "$folder/$1" 2> "$folder/$1.log"
}
# assigned MEMBER TIMES: waits until it was assigned partitions so many times.
assigned() { for _ in $(seq 150); do [ "$(grep -c "assigned: $t-share" "$folder/$1.log" 2> /dev/null)" -ge "$2" ] && return; sleep 0.2; done; }
join one &
members+=($!)
assigned one 1
join two &
members+=($!)
assigned one 2
assigned two 1
for i in $(seq 100); do echo "record $i"; done > "$folder/share"
to_all "$folder/share"
came() { cat "$folder/one" "$folder/two" | grep -c "^$1"; }
for _ in $(seq 200); do [ "$(came record)" -ge $((count * 200)) ] && break; sleep 0.2; done
both=$(grep -q record "$folder/one" && grep -q record "$folder/two" && echo both)
kill "${members[1]}"
wait "${members[1]}" 2> /dev/null
assigned one 3
echo last > "$folder/last"
to_all "$folder/last"
for _ in $(seq 200); do [ "$(grep -c last "$folder/one")" -ge $((count * 2)) ] && break; sleep 0.2; done
kill "${members[0]}"
wait "${members[0]}" 2> /dev/null
members=()
same group-rebalance "$both $(came before) $(came record) $(grep -c last "$folder/one")" "both 2 $((count * 200)) $((count * 2))"

echo x | k -P -t 'no spaces!' > /dev/null
same error-illegal-topic "$(grep -ciE 'invalid topic|unknown topic' "$folder/stderr" | sed 's/^[1-9].*/refused/')" refused
head -c 2000000 /dev/zero | tr '\0' x > "$folder/too-large"
k -P -t "$t-none" -p 0 -X message.max.bytes=8000000 "$folder/too-large" > /dev/null
same error-too-large "$(grep -ciE 'too large|msg_size' "$folder/stderr" | sed 's/^[1-9].*/refused/')" refused
k -C -t "$t-none" -p 0 -o 100000 -e -q -X auto.offset.reset=error > /dev/null
same error-offset-out-of-range "$(grep -ciE 'out of range|offset reset' "$folder/stderr" | sed 's/^[1-9].*/refused/')" refused

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

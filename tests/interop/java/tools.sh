#!/bin/bash
# Kafka's command-line tools as an operator uses them. Prints `java tools-… PASS|FAIL why`. Needs BOOTSTRAP and LIBS (the jars).
set -uo pipefail
check_seconds=40
run=$RANDOM$RANDOM
t=interop-tools-$run
g=interop-tools-group-$run
passed=0 failed=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bs=(--bootstrap-server "$BOOTSTRAP")

tool() {
  local class=$1
  shift
  timeout -k 5 "$check_seconds" java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$LIBS/*" "$class" "$@" 2>&1
}
topics() { tool org.apache.kafka.tools.TopicCommand "${bs[@]}" "$@"; }
configs() { tool kafka.admin.ConfigCommand "${bs[@]}" "$@"; }
groups() { tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "${bs[@]}" "$@"; }

# check NAME PATTERN COMMAND…: the output must match the pattern (an extended one, over the whole output as one line).
check() {
  local name=$1 pattern=$2 output
  shift 2
  [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $name "* ]] || return 0
  output=$("$@" < "${input:-/dev/null}" | tr '\n\t' '  ')
  if grep -qE -- "$pattern" <<< "$output"; then
    echo "java $name PASS"
    passed=$((passed + 1))
  else
    echo "java $name FAIL want /$pattern/, got: ${output:0:240}"
    failed=$((failed + 1))
  fi
}

check tools-topic-create "Created topic $t" topics --create --topic "$t" --partitions 3 --replication-factor 1 --config retention.ms=3600000
check tools-topic-describe "PartitionCount: 3 .*retention.ms=3600000" topics --describe --topic "$t"
check tools-topic-exists "TopicExistsException" topics --create --topic "$t" --partitions 3
check tools-topic-alter "^ *$" topics --alter --topic "$t" --partitions 4
check tools-config-alter "Completed updating" configs --alter --entity-type topics --entity-name "$t" --add-config max.message.bytes=2000000
check tools-config-describe "max.message.bytes=2000000 .*DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000" configs --describe --entity-type topics --entity-name "$t"
check tools-config-bad "InvalidConfigurationException|Invalid value" configs --alter --entity-type topics --entity-name "$t" --add-config max.message.bytes=much
printf 'h1:v1,h2:v2\tk1\tvalue1\nh3:v3\tk2\tvalue2\n' > "$folder/in"
input=$folder/in check tools-console-producer "^ *$" tool org.apache.kafka.tools.ConsoleProducer "${bs[@]}" --topic "$t" --reader-property parse.key=true --reader-property parse.headers=true
check tools-console-consumer "(h1:v1,h2:v2 k1 value1.*h3:v3 k2 value2|h3:v3 k2 value2.*h1:v1,h2:v2 k1 value1)" \
  tool org.apache.kafka.tools.consumer.ConsoleConsumer "${bs[@]}" --topic "$t" --group "$g" --from-beginning --max-messages 2 --timeout-ms 20000 \
  --formatter-property print.key=true --formatter-property print.headers=true
check tools-group-list "$g" groups --list
check tools-group-describe "$g +$t +[0-3] +[0-9]+ +[0-9]+ +0 " groups --describe --group "$g"
check tools-group-reset "$g +$t +0 +0" groups --group "$g" --reset-offsets --to-earliest --topic "$t" --execute
check tools-offsets "$t:0:[0-9]+ .*$t:3:[0-9]+" tool org.apache.kafka.tools.GetOffsetShell "${bs[@]}" --topic "$t" --time -1
check tools-group-delete "was successful" groups --delete --group "$g"
if [ -z "${QUICK:-}" ]; then
  check tools-api-versions "ApiVersions\(18\): 0 to [0-9]+ \[usable" tool org.apache.kafka.tools.BrokerApiVersionsCommand "${bs[@]}"
  check tools-cluster-id "Cluster ID: [A-Za-z0-9_-]+" tool org.apache.kafka.tools.ClusterTool cluster-id "${bs[@]}"
  check tools-log-dirs '"brokers".*"logDir"' tool org.apache.kafka.tools.LogDirsCommand "${bs[@]}" --describe --topic-list "$t"
  for codec in none gzip snappy lz4 zstd; do
    check "tools-perf-producer-$codec" "5000 records sent" tool org.apache.kafka.tools.ProducerPerformance --topic "$t" --num-records 5000 --record-size 500 \
      --throughput -1 --bootstrap-server "$BOOTSTRAP" --command-property acks=all --command-property compression.type=$codec
  done
  check tools-perf-consumer ", 25[0-9]+, " tool org.apache.kafka.tools.ConsumerPerformance "${bs[@]}" --topic "$t" --num-records 25000 --timeout 20000 --hide-header
  check tools-verifiable-producer '"acked":1000' tool org.apache.kafka.tools.VerifiableProducer "${bs[@]}" --topic "$t" --max-messages 1000 --acks -1
  echo "{\"partitions\":[{\"topic\":\"$t\",\"partition\":0,\"offset\":1}],\"version\":1}" > "$folder/delete.json"
  check tools-delete-records "low_watermark: 1" tool org.apache.kafka.tools.DeleteRecordsCommand "${bs[@]}" --offset-json-file "$folder/delete.json"
fi
check tools-topic-delete "^ *$" topics --delete --topic "$t"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

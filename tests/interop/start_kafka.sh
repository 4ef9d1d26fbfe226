#!/bin/bash
# Starts one Apache Kafka node (KRaft, broker and controller in one process) on 127.0.0.1:PORT and prints its pid once it answers.
# Several of them are a cluster: each gets the same CLUSTER_ID, VOTERS and REPLICAS, a NODE_ID of its own, and NOWAIT, because the
# first answers only with the second.
# The suites are calibrated on it, and the benches compare with it. Needs a JDK of 17 or later and mvn.
#
#   pid=$(PORT=19092 ./start_kafka.sh); BOOTSTRAP=127.0.0.1:19092 ./run.sh; kill $pid
#
#   PORT=19092        the client port; the controller listens on PORT+1
#   WORK=DIR          jars and data (default: ${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-interop)
#   DATA=DIR          log directory, emptied first unless KEEP_DATA=1 (default: a folder in WORK named after the port)
#   HEAP=1g           the largest heap
#   EXTRA=…           more server properties, one a line; the last one wins
#   NOWAIT=1          print the pid without waiting for an answer
#   NODE_ID=1         id of the node
#   CLUSTER_ID=…      22 characters of url-safe base64 (default: random)
#   VOTERS=…          1@127.0.0.1:PORT+1,2@… (default: this node)
#   REPLICAS=1        of the internal topics
#   LIBS_ONLY=1       fetch the jars, print their folder, start nothing
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-interop}
version=$(sed -nE 's|.*<kafka.version>(.*)</kafka.version>.*|\1|p' "$here/java/pom.xml")
port=${PORT:-19092} controller=$((${PORT:-19092} + 1))
node=${NODE_ID:-1} replicas=${REPLICAS:-1}
min_isr=$((replicas > 1 ? replicas - 1 : 1))
libs=$work/kafka-$version/libs
wait_s=60

if [ ! -f "$libs/.complete" ]; then
  rm -rf "$libs"
  mkdir -p "$libs"
  cp "$here/java/pom.xml" "$work/kafka-$version/pom.xml"
  (cd "$work/kafka-$version" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs) >&2
  touch "$libs/.complete"
fi
if [ -n "${LIBS_ONLY:-}" ]; then echo "$libs"; exit 0; fi

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
if answers "$port"; then echo "port $port is in use" >&2; exit 1; fi

data=${DATA:-$work/kafka-$version/data-$port}
[ -n "${KEEP_DATA:-}" ] || rm -rf "$data"
mkdir -p "$data"
properties=$work/kafka-$version/server-$port.properties
log=$work/kafka-$version/server-$port.log
cat > "$properties" <<P
process.roles=broker,controller
node.id=$node
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=${VOTERS:-$node@127.0.0.1:$controller}
log.dirs=$data
offsets.topic.replication.factor=$replicas
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$min_isr
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$min_isr
group.initial.rebalance.delay.ms=0
${EXTRA:-}
P

java=(java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*")
if [ ! -f "$data/meta.properties" ]; then
  tool=("${java[@]}" -XX:TieredStopAtLevel=1 kafka.tools.StorageTool)
  "${tool[@]}" format -t "${CLUSTER_ID:-$("${tool[@]}" random-uuid)}" -c "$properties" > "$log" 2>&1
fi
nohup setsid "${java[@]}" "-Xmx${HEAP:-1g}" kafka.Kafka "$properties" >> "$log" 2>&1 < /dev/null &
pid=$!
if [ -n "${NOWAIT:-}" ]; then echo "$pid"; exit 0; fi
for _ in $(seq $((wait_s * 5))); do
  if ! kill -0 "$pid" 2> /dev/null; then tail -20 "$log" >&2; exit 1; fi
  if answers "$port"; then echo "$pid"; exit 0; fi
  sleep 0.2
done
kill "$pid"
echo "port $port does not answer after $wait_s s; see $log" >&2
exit 1

#!/bin/bash
# Chaos with the Java client and franz-go beside librdkafka; see README.md. Options go to the chaos binary.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export WORK=${WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-interop}
mkdir -p "$WORK/chaos"
LIBS=$(LIBS_ONLY=1 "$here/../start_kafka.sh")
go build -C "$here/.." -mod=readonly -o "$WORK/chaos/franz" ./chaos/franz
javac -cp "$LIBS/*" -d "$WORK/chaos" "$here/Chaos.java"
cd "$here/../../.."
exec cargo run --release -p tidemark-tests --bin chaos -- "$@" --client "franz=$WORK/chaos/franz" \
  --client "java=java -Xmx128m -Dorg.slf4j.simpleLogger.defaultLogLevel=off -cp $WORK/chaos:$LIBS/* Chaos"

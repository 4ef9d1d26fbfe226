#!/bin/bash
# Rolling.java for `failover --what rolling --client`: needs BOOTSTRAP and TOPIC, and WORK as run.sh one folder up sets it.
here=$(cd "$(dirname "$0")" && pwd)
LIBS=$(LIBS_ONLY=1 "$here/../start_kafka.sh") || exit 2
exec java -XX:+UseSerialGC -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=off -cp "$LIBS/*" "$here/Rolling.java"

#!/bin/bash
# The checks over Kafka's Java client, then over its command-line tools. Needs BOOTSTRAP and WORK, as run.sh one folder up sets them.
here=$(cd "$(dirname "$0")" && pwd)
LIBS=$(LIBS_ONLY=1 "$here/../start_kafka.sh") || exit 2
export LIBS
status=0
java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$LIBS/*" "$here/Suite.java" || status=1
"$here/tools.sh" || status=1
exit $status

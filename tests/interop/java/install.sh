#!/bin/bash
# Apache Kafka's client and command-line tools from Maven Central, into WORK; needs a JDK of 17 or later and mvn.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
LIBS_ONLY=1 exec "$here/../start_kafka.sh"

#!/bin/bash
# The checks over kafkajs. Needs BOOTSTRAP and WORK, as run.sh one folder up sets them.
here=$(cd "$(dirname "$0")" && pwd)
# A program is resolved from where it lies, so it runs from WORK, beside its packages.
cp "$here/suite.js" "$WORK/kafkajs/suite.js"
exec node "$WORK/kafkajs/suite.js"

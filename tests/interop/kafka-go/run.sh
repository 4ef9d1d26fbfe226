#!/bin/bash
# The checks over kafka-go. Needs BOOTSTRAP and WORK, as run.sh one folder up sets them.
exec "$WORK/kafka-go/suite"

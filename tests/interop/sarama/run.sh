#!/bin/bash
# The checks over sarama. Needs BOOTSTRAP and WORK, as run.sh one folder up sets them.
exec "$WORK/sarama/suite"

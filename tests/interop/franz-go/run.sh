#!/bin/bash
# The checks over franz-go. Needs BOOTSTRAP and WORK, as run.sh one folder up sets them.
exec "$WORK/franz-go/suite"

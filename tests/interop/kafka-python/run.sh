#!/bin/bash
# The checks over kafka-python. Needs BOOTSTRAP and WORK, as run.sh one folder up sets them.
here=$(cd "$(dirname "$0")" && pwd)
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../check exec "$WORK/kafka-python/venv/bin/python" "$here/suite.py"

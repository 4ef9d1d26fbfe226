#!/bin/bash
# aiokafka from PyPI, in a virtual environment in WORK.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../check/python_venv.sh" aiokafka "$here/requirements.txt"

#!/bin/bash
# kafka-python from PyPI, in a virtual environment in WORK.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../check/python_venv.sh" kafka-python "$here/requirements.txt"

#!/bin/bash
# python_venv.sh NAME REQUIREMENTS: a virtual environment in WORK/NAME/venv with these packages, made once per list.
set -eu
place=$WORK/$1
if ! cmp -s "$2" "$place/installed.txt"; then
  rm -rf "$place"
  mkdir -p "$place"
  python3 -m venv "$place/venv"
  "$place/venv/bin/pip" -q install -r "$2"
  cp "$2" "$place/installed.txt"
fi

#!/bin/bash
# kafkajs from npm, into WORK.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
place=$WORK/kafkajs
if ! cmp -s "$here/package.json" "$place/installed.json"; then
  rm -rf "$place"
  mkdir -p "$place"
  cp "$here/package.json" "$place/package.json"
  (cd "$place" && npm install --no-audit --no-fund --silent)
  cp "$here/package.json" "$place/installed.json"
fi

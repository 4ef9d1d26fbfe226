#!/bin/bash
# franz-go by the Go module proxy, built into WORK. The module of the three Go suites is one folder up.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$WORK/franz-go"
exec go build -C "$here/.." -mod=readonly -o "$WORK/franz-go/suite" ./franz-go

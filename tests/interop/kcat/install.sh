#!/bin/bash
# kcat, by the Debian package of that name when it is not there.
command -v kcat > /dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
as_root=""
[ "$(id -u)" -eq 0 ] || as_root=sudo
$as_root apt-get update -q && $as_root apt-get install -y -q kcat

#!/bin/sh
# The petstore from its definition to secured traffic. KEEP=1 leaves it running.
set -eu
cd "$(dirname "$0")/.."
set -- -bin bin
[ -z "${KEEP:-}" ] || set -- "$@" -keep
exec go run ./examples/demo "$@"

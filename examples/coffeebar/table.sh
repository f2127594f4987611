# Prints which of the four tokens may call which of the four operations.
# Usage: sh table.sh BASE_URL
call() {
	curl -s -o /dev/null -w '%{http_code}' -X "$2" -H "Authorization: Bearer $1" -H 'Content-Type: application/json' ${4:+-d "$4"} "$base$3"
}
base=$1
printf '%-22s %-7s %-7s %-7s %-7s\n' '' TOKEN_A TOKEN_B TOKEN_C TOKEN_D
while read -r method path body; do
	printf '%-22s' "$method $path"
	for token in "$TOKEN_A" "$TOKEN_B" "$TOKEN_C" "$TOKEN_D"; do
		printf ' %-7s' "$(call "$token" "$method" "$path" "$body" </dev/null)"
	done
	printf '\n'
done <<END
GET /menu
POST /order {"drink":"Espresso"}
GET /order/1
POST /menu {"name":"Cortado","price":2.8}
END

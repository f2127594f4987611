# Prints an access token that issuer.key has signed (RS256).
# Usage: sh issuer.sh "SCOPE..."
encode() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
head=$(printf '{"alg":"RS256","typ":"JWT"}' | encode)
claims=$(printf '{"iss":"https://login.coffeebar.example","aud":"coffeebar","sub":"barista","scope":"%s","iat":%d,"exp":%d}' "$1" "$now" $((now + 3600)) | encode)
printf '%s.%s.%s\n' "$head" "$claims" "$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -sign issuer.key -binary | encode)"

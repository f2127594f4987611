# Prints an access token, as the key manager would give it, that mended/issuer.key has signed (RS256).
# Usage: sh issuer.sh "SCOPE..."
encode() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
head=$(printf '{"alg":"RS256","typ":"JWT"}' | encode)
claims=$(printf '{"iss":"https://localhost:9443/oauth2/token","aud":"http://org.wso2.apimgt/gateway","sub":"reader","scope":"%s","iat":%d,"exp":%d}' "$1" "$now" $((now + 3600)) | encode)
printf '%s.%s.%s\n' "$head" "$claims" "$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -sign mended/issuer.key -binary | encode)"

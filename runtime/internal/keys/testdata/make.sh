#!/bin/sh
# Makes the key stores of this folder; see README.md.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8
rm -f ./*.p12 ./*.jks ./*.pem
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/rsa.key" -out rsa.pem -days 36500 -subj "/CN=token signer" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ec.key" -out ec.pem -days 36500 -subj "/CN=other signer" 2>/dev/null
trust() { # file, keytool options...
	out=$1
	shift
	keytool -importcert -noprompt -alias WSO2apim -file rsa.pem -keystore "$out" -storetype pkcs12 -storepass changeit "$@" 2>/dev/null
	keytool -J-Dsun.jnu.encoding=UTF-8 -importcert -noprompt -alias "Ünder-ÄC" -file ec.pem -keystore "$out" -storetype pkcs12 -storepass changeit "$@" 2>/dev/null
}
trust java-modern.p12
trust java-legacy.p12 -J-Dkeystore.pkcs12.legacy
trust java-nopass.p12 -J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE -J-Dkeystore.pkcs12.macAlgorithm=NONE
keytool -genkeypair -alias Signer -keyalg RSA -keysize 2048 -validity 36500 -dname "CN=key entry" -keystore java-keyentry.p12 -storetype pkcs12 -storepass changeit 2>/dev/null
keytool -importcert -noprompt -alias other -file ec.pem -keystore java-keyentry.p12 -storepass changeit 2>/dev/null
keytool -importcert -noprompt -alias wso2apim -file rsa.pem -keystore store.jks -storetype jks -storepass changeit 2>/dev/null
openssl pkcs12 -export -nokeys -in rsa.pem -caname wso2apim -out openssl-modern.p12 -passout pass:changeit
openssl pkcs12 -export -inkey "$work/rsa.key" -in rsa.pem -name wso2apim -descert -macalg sha1 -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -out openssl-3des.p12 -passout pass:changeit

module github.com/microgw/microgw/runtime

go 1.26.0

require (
	github.com/microgw/microgw/pkg v0.0.0
	github.com/microgw/microgw/schema v0.0.0
)

require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	github.com/pelletier/go-toml/v2 v2.4.3 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	golang.org/x/crypto v0.11.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	software.sslmate.com/src/go-pkcs12 v0.7.4 // indirect
)

replace github.com/microgw/microgw/schema => ../schema

replace github.com/microgw/microgw/pkg => ../pkg

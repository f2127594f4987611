module github.com/microgw/microgw/toolkit

go 1.26

require (
	github.com/microgw/microgw/pkg v0.0.0
	github.com/microgw/microgw/schema v0.0.0
)

require (
	github.com/getkin/kin-openapi v0.152.0 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/microgw/microgw/schema => ../schema

replace github.com/microgw/microgw/pkg => ../pkg

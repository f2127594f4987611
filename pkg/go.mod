module github.com/microgw/microgw/pkg

go 1.26

require github.com/microgw/microgw/schema v0.0.0

require google.golang.org/protobuf v1.36.12

replace github.com/microgw/microgw/schema => ../schema

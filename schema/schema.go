// Package schema holds the JSON Schemas (draft 2020-12) of what people write:
// policy.yaml, the x-wso2-* extensions of a definition, and micro-gw.conf. They
// are for editors. The programs read by code of their own, which knows positions
// and gives hints; tests beside that code hold it and the schemas together.
package schema

import _ "embed"

// Policy is the schema of policy.yaml. It is written by hand.
//
//go:embed policy.schema.json
var Policy []byte

// Extensions is a schema of OpenAPI definitions that looks at nothing but their
// x-wso2-* extensions and those of API Manager. It is written by hand.
//
//go:embed extensions.schema.json
var Extensions []byte

// Conf is the schema of micro-gw.conf, as its keys stand in a TOML file. It is
// made in runtime/internal/conf.
//
//go:embed micro-gw.conf.schema.json
var Conf []byte

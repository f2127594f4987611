package ledger

import (
	"strings"

	"github.com/microgw/microgw/toolkit/internal/spec"
)

// What becomes of the keywords of Swagger 2.0 that OpenAPI 3.0 does not have in
// the same place: the keyword of 3.0 that the conversion makes of them, which
// has the verdict. The others keep object and name. "-" is lost; the document
// that the artifact carries does not have it.
const conversion = `
Root swagger: Root openapi
Root host basePath schemes: Root servers
Root consumes: RequestBody content
Root produces: Response content
Root definitions: Components schemas
Root parameters: Components parameters
Root responses: Components responses
Root securityDefinitions: Components securitySchemes
Operation consumes: RequestBody content
Operation produces: Response content
Operation schemes: -
Parameter type format items default maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems enum multipleOf: Schema
Parameter collectionFormat: Parameter style
Items type format items default maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems enum multipleOf: Schema
Items collectionFormat: -
Header type format items default maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems enum multipleOf: Schema
Header collectionFormat: -
Response schema: MediaType schema
Response examples: MediaType example
SecurityScheme flow: SecurityScheme flows
SecurityScheme authorizationUrl tokenUrl scopes: OAuthFlow
`

var converted = func() map[spec.Keyword]spec.Keyword {
	all := make(map[spec.Keyword]spec.Keyword)
	for _, line := range strings.Split(strings.TrimSpace(conversion), "\n") {
		head, to, _ := strings.Cut(line, ": ")
		words := strings.Fields(head)
		for _, key := range words[1:] {
			switch object, name, both := strings.Cut(to, " "); {
			case both:
				all[spec.Keyword{Object: words[0], Key: key}] = spec.Keyword{Object: object, Key: name}
			case to == "-":
				all[spec.Keyword{Object: words[0], Key: key}] = spec.Keyword{}
			default:
				all[spec.Keyword{Object: words[0], Key: key}] = spec.Keyword{Object: object, Key: key}
			}
		}
	}
	return all
}()

// from names the keywords of Swagger 2.0 behind one of 3.0 that has another
// name.
var from = map[spec.Keyword]string{
	{Object: "Root", Key: "openapi"}:               "swagger",
	{Object: "Root", Key: "servers"}:               "host, basePath, schemes",
	{Object: "Server", Key: "url"}:                 "host, basePath, schemes",
	{Object: "Components", Key: "schemas"}:         "definitions",
	{Object: "Components", Key: "securitySchemes"}: "securityDefinitions",
	{Object: "Operation", Key: "requestBody"}:      "parameters",
	{Object: "RequestBody", Key: "content"}:        "consumes",
	{Object: "Response", Key: "content"}:           "produces",
	{Object: "MediaType", Key: "example"}:          "examples",
	{Object: "Parameter", Key: "style"}:            "collectionFormat",
	{Object: "Parameter", Key: "explode"}:          "collectionFormat",
	{Object: "SecurityScheme", Key: "flows"}:       "flow",
	{Object: "SecurityScheme", Key: "scheme"}:      "type",
	{Object: "Discriminator", Key: "propertyName"}: "discriminator",
	{Object: "Schema", Key: "nullable"}:            "x-nullable",
}

package spec

import (
	"strings"

	"github.com/microgw/microgw/toolkit/internal/tree"
)

// The objects of Swagger 2.0, OpenAPI 3.0 and 3.1 as tables: which keys an
// object has and what stands behind each. One walk over a document by its table
// checks types, finds unknown keys, and knows of every $ref what it stands for
// (a "$ref" inside of an example is data, not a reference).
//
// A line is "Name flags: key:type key:type ...". Types are string, bool,
// number, count (a whole number from 0), any, Name (an object), [type] (a list),
// {type} (a map), and type|type.
// Flags:
//
//	ref      a $ref may stand in its place
//	bool     true or false may stand in its place (JSON Schema)
//	open     unknown keys have no meaning to us, but are no mistake either
//	soft     a wrong type is a warning, and the key is left out: what is lost is
//	         part of a schema, not part of an API
//	paths    keys are paths ("/...") or extensions
//	map=TYPE every key that is not an extension is a TYPE
//	in=KIND  where such objects live in "components" (or, in Swagger 2.0, at the
//	         root), for $refs to other files

const swagger2 = `
Root: swagger:string info:Info host:string basePath:string schemes:[string] consumes:[string] produces:[string] paths:Paths definitions:{Schema} parameters:{Parameter} responses:{Response} securityDefinitions:{SecurityScheme} security:any tags:[Tag] externalDocs:ExternalDocs
Info: title:string description:string termsOfService:string contact:Contact license:License version:string
Contact: name:string url:string email:string
License: name:string url:string
ExternalDocs: description:string url:string
Paths paths map=PathItem:
PathItem ref: get:Operation put:Operation post:Operation delete:Operation options:Operation head:Operation patch:Operation parameters:[Parameter]
Operation: tags:[string] summary:string description:string externalDocs:ExternalDocs operationId:string consumes:[string] produces:[string] parameters:[Parameter] responses:Responses schemes:[string] deprecated:bool security:any
Parameter ref soft in=parameters: name:string in:string description:string required:bool schema:Schema type:string format:string allowEmptyValue:bool items:Items collectionFormat:string default:any maximum:number exclusiveMaximum:bool minimum:number exclusiveMinimum:bool maxLength:count minLength:count pattern:string maxItems:count minItems:count uniqueItems:bool enum:[any] multipleOf:number
Items soft: type:string format:string items:Items collectionFormat:string default:any maximum:number exclusiveMaximum:bool minimum:number exclusiveMinimum:bool maxLength:count minLength:count pattern:string maxItems:count minItems:count uniqueItems:bool enum:[any] multipleOf:number
Responses map=Response:
Response ref in=responses: description:string schema:Schema headers:{Header} examples:any
Header soft: description:string type:string format:string items:Items collectionFormat:string default:any maximum:number exclusiveMaximum:bool minimum:number exclusiveMinimum:bool maxLength:count minLength:count pattern:string maxItems:count minItems:count uniqueItems:bool enum:[any] multipleOf:number
Tag: name:string description:string externalDocs:ExternalDocs
Schema ref soft in=definitions: format:string title:string description:string default:any multipleOf:number maximum:number exclusiveMaximum:bool minimum:number exclusiveMinimum:bool maxLength:count minLength:count pattern:string maxItems:count minItems:count uniqueItems:bool maxProperties:count minProperties:count required:[string] enum:[any] type:string items:Schema allOf:[Schema] properties:{Schema} additionalProperties:Schema|bool discriminator:string readOnly:bool xml:XML externalDocs:ExternalDocs example:any
XML soft: name:string namespace:string prefix:string attribute:bool wrapped:bool
SecurityScheme: type:string description:string name:string in:string flow:string authorizationUrl:string tokenUrl:string scopes:{string}
`

const openapi30 = `
Root: openapi:string info:Info servers:[Server] paths:Paths components:Components security:any tags:[Tag] externalDocs:ExternalDocs
Info: title:string description:string termsOfService:string contact:Contact license:License version:string
Contact: name:string url:string email:string
License: name:string url:string
Server: url:string description:string variables:{ServerVariable}
ServerVariable: enum:[string] default:string description:string
ExternalDocs: description:string url:string
Components: schemas:{Schema} responses:{Response} parameters:{Parameter} examples:{Example} requestBodies:{RequestBody} headers:{Header} securitySchemes:{SecurityScheme} links:{Link} callbacks:{Callback}
Paths paths map=PathItem:
PathItem ref: summary:string description:string get:Operation put:Operation post:Operation delete:Operation options:Operation head:Operation patch:Operation trace:Operation servers:[Server] parameters:[Parameter]
Operation: tags:[string] summary:string description:string externalDocs:ExternalDocs operationId:string parameters:[Parameter] requestBody:RequestBody responses:Responses callbacks:{Callback} deprecated:bool security:any servers:[Server]
Parameter ref soft in=parameters: name:string in:string description:string required:bool deprecated:bool allowEmptyValue:bool style:string explode:bool allowReserved:bool schema:Schema example:any examples:{Example} content:{MediaType}
RequestBody ref in=requestBodies: description:string content:{MediaType} required:bool
MediaType soft: schema:Schema example:any examples:{Example} encoding:{Encoding}
Encoding soft: contentType:string headers:{Header} style:string explode:bool allowReserved:bool
Responses map=Response:
Response ref in=responses: description:string headers:{Header} content:{MediaType} links:{Link}
Callback ref map=PathItem in=callbacks:
Example ref soft in=examples: summary:string description:string value:any externalValue:string
Link ref soft in=links: operationRef:string operationId:string parameters:any requestBody:any description:string server:Server
Header ref soft in=headers: description:string required:bool deprecated:bool allowEmptyValue:bool style:string explode:bool allowReserved:bool schema:Schema example:any examples:{Example} content:{MediaType}
Tag: name:string description:string externalDocs:ExternalDocs
Schema ref soft in=schemas: title:string multipleOf:number maximum:number exclusiveMaximum:bool minimum:number exclusiveMinimum:bool maxLength:count minLength:count pattern:string maxItems:count minItems:count uniqueItems:bool maxProperties:count minProperties:count required:[string] enum:[any] type:string not:Schema allOf:[Schema] oneOf:[Schema] anyOf:[Schema] items:Schema properties:{Schema} additionalProperties:Schema|bool description:string format:string default:any nullable:bool discriminator:Discriminator readOnly:bool writeOnly:bool xml:XML externalDocs:ExternalDocs example:any deprecated:bool
Discriminator soft: propertyName:string mapping:{string}
XML soft: name:string namespace:string prefix:string attribute:bool wrapped:bool
SecurityScheme ref in=securitySchemes: type:string description:string name:string in:string scheme:string bearerFormat:string flows:OAuthFlows openIdConnectUrl:string
OAuthFlows: implicit:OAuthFlow password:OAuthFlow clientCredentials:OAuthFlow authorizationCode:OAuthFlow
OAuthFlow: authorizationUrl:string tokenUrl:string refreshUrl:string scopes:{string}
`

// What 3.1 says differently; the rest is as in 3.0.
const openapi31 = `
Root: openapi:string info:Info jsonSchemaDialect:string servers:[Server] paths:Paths webhooks:{PathItem} components:Components security:any tags:[Tag] externalDocs:ExternalDocs
Info: title:string summary:string description:string termsOfService:string contact:Contact license:License version:string
License: name:string identifier:string url:string
Components: schemas:{Schema} responses:{Response} parameters:{Parameter} examples:{Example} requestBodies:{RequestBody} headers:{Header} securitySchemes:{SecurityScheme} links:{Link} callbacks:{Callback} pathItems:{PathItem}
PathItem ref in=pathItems: summary:string description:string get:Operation put:Operation post:Operation delete:Operation options:Operation head:Operation patch:Operation trace:Operation servers:[Server] parameters:[Parameter]
Schema ref bool soft open in=schemas: $schema:string $id:string $anchor:string $dynamicRef:string $dynamicAnchor:string $comment:string $vocabulary:any $defs:{Schema} title:string multipleOf:number maximum:number exclusiveMaximum:number minimum:number exclusiveMinimum:number maxLength:count minLength:count pattern:string maxItems:count minItems:count uniqueItems:bool maxContains:count minContains:count maxProperties:count minProperties:count required:[string] dependentRequired:{[string]} enum:[any] const:any type:string|[string] allOf:[Schema] oneOf:[Schema] anyOf:[Schema] not:Schema if:Schema then:Schema else:Schema dependentSchemas:{Schema} prefixItems:[Schema] items:Schema contains:Schema properties:{Schema} patternProperties:{Schema} additionalProperties:Schema propertyNames:Schema unevaluatedItems:Schema unevaluatedProperties:Schema contentMediaType:string contentEncoding:string contentSchema:Schema description:string format:string default:any discriminator:Discriminator readOnly:bool writeOnly:bool xml:XML externalDocs:ExternalDocs example:any examples:[any] deprecated:bool
`

// A shape is what may stand in a place: exactly one alternative in almost all.
type shape struct {
	kind   tree.Kind // String, Bool, Number, Array, Object
	any    bool
	count  bool    // a whole number from 0
	elem   *shape  // of a list or a map
	object *object // of an object with a table
	or     *shape
}

// An object is a line of the table.
type object struct {
	name  string
	keys  map[string]*shape
	names []string
	each  *shape // of a map
	paths bool
	ref   bool
	bool  bool
	open  bool
	soft  bool
	home  string // in components
}

type grammar struct {
	root    *object
	objects map[string]*object
}

var (
	grammar20 = newGrammar(swagger2)
	grammar30 = newGrammar(openapi30)
	grammar31 = newGrammar(openapi30 + openapi31)
)

func newGrammar(text string) *grammar {
	g := &grammar{objects: make(map[string]*object)}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line == "" {
			continue
		}
		head, body, _ := strings.Cut(line, ":")
		words := strings.Fields(head)
		// A later line for the same name replaces the keys of the earlier one.
		o := g.object(words[0])
		o.keys, o.names = make(map[string]*shape), nil
		for _, flag := range words[1:] {
			key, value, _ := strings.Cut(flag, "=")
			switch key {
			case "ref":
				o.ref = true
			case "bool":
				o.bool = true
			case "open":
				o.open = true
			case "soft":
				o.soft = true
			case "paths":
				o.paths = true
			case "map":
				o.each = g.shape(value)
			case "in":
				o.home = value
			}
		}
		for _, field := range strings.Fields(body) {
			name, typ, _ := strings.Cut(field, ":")
			o.keys[name] = g.shape(typ)
			o.names = append(o.names, name)
		}
	}
	g.root = g.objects["Root"]
	return g
}

func (g *grammar) object(name string) *object {
	if g.objects[name] == nil {
		g.objects[name] = &object{name: name}
	}
	return g.objects[name]
}

func (g *grammar) shape(typ string) *shape {
	if a, b, two := strings.Cut(typ, "|"); two {
		s := *g.shape(a)
		s.or = g.shape(b)
		return &s
	}
	switch {
	case typ == "any":
		return &shape{any: true}
	case typ == "string":
		return &shape{kind: tree.String}
	case typ == "bool":
		return &shape{kind: tree.Bool}
	case typ == "number":
		return &shape{kind: tree.Number}
	case typ == "count":
		return &shape{kind: tree.Number, count: true}
	case typ[0] == '[':
		return &shape{kind: tree.Array, elem: g.shape(typ[1 : len(typ)-1])}
	case typ[0] == '{':
		return &shape{kind: tree.Object, elem: g.shape(typ[1 : len(typ)-1])}
	}
	return &shape{kind: tree.Object, object: g.object(typ)}
}

// kind is what a reference must lead to by the look of it, or nil if that does
// not show: "#/components/responses/Error" is a response.
func (g *grammar) kind(ref string) *object {
	_, fragment, _ := strings.Cut(ref, "#")
	if g != grammar20 {
		var ok bool
		if fragment, ok = strings.CutPrefix(fragment, "/components"); !ok {
			return nil
		}
	}
	home, name, ok := strings.Cut(strings.TrimPrefix(fragment, "/"), "/")
	if !ok || strings.Contains(name, "/") {
		return nil
	}
	for _, o := range g.objects {
		if o.home == home {
			return o
		}
	}
	return nil
}

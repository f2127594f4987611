package apimtest

import (
	"archive/zip"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed files
var files embed.FS

type object = map[string]any

// An API is what the server has of one. Members without a comment are API
// Manager's own.
type API struct {
	ID, Name, Version, Provider, Context, Type string

	Labels     []string // of the gateways, before version 4
	Deployed   []string // gateway environments, in version 4
	Status     string
	Definition string // OpenAPI, as an author wrote it

	Endpoints  object // endpointConfig
	Security   object // endpointSecurity of version 2.6
	CORS       object
	AuthHeader string
	Transports []string
	Schemes    []string
	Tier       string
	Caching    bool
}

func cors(enabled bool, origin string) object {
	return object{
		"corsConfigurationEnabled": enabled, "accessControlAllowOrigins": []string{origin}, "accessControlAllowCredentials": false,
		"accessControlAllowHeaders": []string{"authorization", "Content-Type"}, "accessControlAllowMethods": []string{"GET", "POST"},
	}
}

func at(u string) object { return object{"url": u, "config": nil} }

func definition(name string) string {
	data, err := files.ReadFile("files/" + name + ".json")
	if err != nil {
		panic(err) // compiled in
	}
	return string(data)
}

// Catalogue is what the server has:
//
//	PizzaShack 1.0.0   Swagger 2.0, production and sandbox, scopes, CORS, an open operation
//	Orders 2           OpenAPI 3, failover, credentials for the upstream, tier of the API
//	Catalogue 1.0      OpenAPI 3, load balancing in the sandbox only, HTTPS only, CORS off
//	PizzaShackExtra    not published
//	Ticker 1.0         a WebSocket API
func Catalogue() []API {
	return []API{
		{
			ID: "01-pizza", Name: "PizzaShack", Version: "1.0.0", Provider: "admin", Context: "/pizzashack", Type: "HTTP",
			Labels: []string{"partners", "all"}, Deployed: []string{"Default"}, Status: "PUBLISHED", Definition: definition("pizza"),
			Endpoints: object{"endpoint_type": "http", "production_endpoints": at("https://pizza.internal:9443/api/"), "sandbox_endpoints": at("http://pizza-test.internal/api")},
			CORS:      cors(true, "https://shop.example"), AuthHeader: "Authorization", Transports: []string{"http", "https"}, Schemes: []string{"oauth2"},
		},
		{
			ID: "02-pizza-extra", Name: "PizzaShackExtra", Version: "1.0.0", Provider: "admin", Context: "/pizzaextra", Type: "HTTP",
			Labels: []string{"partners", "all"}, Deployed: []string{"Default"}, Status: "CREATED", Definition: definition("pizza"),
		},
		{
			ID: "03-orders", Name: "Orders", Version: "2", Provider: "ann@example.com", Context: "/shop/{version}/orders", Type: "HTTP",
			Labels: []string{"partners", "all"}, Deployed: []string{"Default", "Edge"}, Status: "PUBLISHED", Definition: definition("orders"),
			Endpoints: object{
				"endpoint_type": "failover", "production_endpoints": at("https://orders-1.internal"),
				"production_failovers": []object{at("https://orders-2.internal"), at("https://orders-1.internal")},
				"sandbox_endpoints":    at("https://orders-test.internal"), "sandbox_failovers": []object{},
			},
			Security: object{"type": "basic", "username": "gateway", "password": "s3cr3t-upstream"},
			CORS:     cors(true, "*"), AuthHeader: "X-Shop-Token", Transports: []string{"https"}, Schemes: []string{"oauth2", "basic_auth"}, Tier: "50kPerMin", Caching: true,
		},
		{
			ID: "04-catalogue", Name: "Catalogue", Version: "1.0", Provider: "admin", Context: "/catalogue", Type: "HTTP",
			Labels: []string{"all"}, Deployed: []string{"Edge"}, Status: "PUBLISHED", Definition: definition("catalogue"),
			Endpoints: object{"endpoint_type": "load_balance", "sandbox_endpoints": []object{at("http://a.internal:8080"), at("http://b.internal:8080")}},
			CORS:      cors(false, "*"), Transports: []string{"https"}, Schemes: []string{"oauth2", "mutualssl", "mutualssl_mandatory", "oauth_basic_auth_api_key_mandatory"},
		},
		{
			ID: "05-ticker", Name: "Ticker", Version: "1.0", Provider: "admin", Context: "/ticker", Type: "WS",
			Labels: []string{"all", "sockets"}, Deployed: []string{"Edge"}, Status: "PUBLISHED", Definition: definition("catalogue"),
			Endpoints: object{"endpoint_type": "http", "production_endpoints": at("ws://ticker.internal")},
		},
	}
}

// Many are n small APIs with the label "many".
func Many(n int) []API {
	var list []API
	for i := range n {
		list = append(list, API{
			ID: fmt.Sprintf("many-%d", i), Name: fmt.Sprintf("Many%d", i), Version: "1", Provider: "admin", Context: fmt.Sprintf("/many%d", i), Type: "HTTP",
			Labels: []string{"many"}, Deployed: []string{"Many"}, Status: "PUBLISHED",
			Definition: `{"openapi": "3.0.0", "info": {"title": "x", "version": "1"}, "paths": {"/x": {"get": {"responses": {"200": {"description": "ok"}}}}}}`,
			Endpoints:  object{"endpoint_type": "http", "production_endpoints": at("http://many.internal")},
		})
	}
	return list
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and texts
	}
	return string(data)
}

// legacy is the API in publisher v0.14's words.
func (a API) legacy() object {
	o := object{
		"id": a.ID, "name": a.Name, "version": a.Version, "provider": a.Provider, "context": a.Context, "type": a.Type, "status": a.Status,
		"description": nil, "apiDefinition": a.Definition, "endpointConfig": text(a.Endpoints), "endpointSecurity": nil, "corsConfiguration": a.CORS,
		"authorizationHeader": nil, "transport": a.Transports, "apiSecurity": strings.Join(a.Schemes, ","), "apiLevelPolicy": nil,
		"responseCaching": "Disabled", "cacheTimeout": 300, "isDefaultVersion": true, "labels": a.Labels, "sequences": []string{}, "tiers": []string{"Unlimited"},
	}
	if a.Security != nil {
		o["endpointSecurity"] = a.Security
	}
	if a.AuthHeader != "" {
		o["authorizationHeader"] = a.AuthHeader
	}
	if a.Tier != "" {
		o["apiLevelPolicy"] = a.Tier
	}
	if a.Caching {
		o["responseCaching"] = "Enabled"
	}
	return o
}

// summary is the API in the lists of publisher v1 and later.
func (a API) summary() object {
	context := a.Context
	if !strings.Contains(context, "{version}") {
		context += "/" + a.Version
	}
	return object{
		"id": a.ID, "name": a.Name, "version": a.Version, "provider": a.Provider, "type": a.Type, "lifeCycleStatus": a.Status,
		"context": strings.ReplaceAll(context, "{version}", a.Version), "description": nil, "workflowStatus": nil, "hasThumbnail": false,
	}
}

// extended is the definition with the extensions that publisher v1.1 and later
// write into it.
func (a API) extended() object {
	var o object
	if err := json.Unmarshal([]byte(a.Definition), &o); err != nil {
		panic(err) // compiled in
	}
	list := func(keys ...string) []string {
		var urls []string
		for _, key := range keys {
			switch v := a.Endpoints[key].(type) {
			case object:
				urls = append(urls, v["url"].(string))
			case []object:
				for _, item := range v {
					urls = append(urls, item["url"].(string))
				}
			}
		}
		return urls
	}
	for _, env := range []string{"production", "sandbox"} {
		if urls := list(env+"_endpoints", env+"_failovers"); len(urls) > 0 {
			e := object{"urls": urls, "type": a.Endpoints["endpoint_type"]}
			if len(urls) == 1 {
				e["type"] = "http"
			}
			if a.Security != nil {
				e["securityConfig"] = object{"type": "BASIC", "enabled": true, "username": a.Security["username"], "password": a.Security["password"]}
			}
			o["x-wso2-"+env+"-endpoints"] = e
		}
	}
	o["x-wso2-basePath"] = a.summary()["context"]
	o["x-wso2-transports"] = a.Transports
	o["x-wso2-cors"] = a.CORS
	o["x-wso2-response-cache"] = object{"enabled": a.Caching, "cacheTimeoutInSeconds": 300}
	if a.AuthHeader != "" {
		o["x-wso2-auth-header"] = a.AuthHeader
	}
	if a.Tier != "" {
		o["x-throttling-tier"] = a.Tier
	}
	types, optional := []string{}, false
	for _, s := range a.Schemes {
		switch s {
		case "oauth2", "basic_auth", "api_key":
			types = append(types, s)
		case "mutualssl":
			o["x-wso2-mutual-ssl"] = "mandatory"
		}
	}
	o["x-wso2-application-security"] = object{"security-types": types, "optional": optional}
	delete(o, "x-wso2-security")
	return o
}

// data is the API in the archives of version 4.
func (a API) data() object {
	endpoints := object{}
	for k, v := range a.Endpoints {
		endpoints[k] = v
	}
	if a.Security != nil {
		s := object{"enabled": true, "type": "BASIC", "username": a.Security["username"], "password": a.Security["password"]}
		endpoints["endpoint_security"] = object{"production": s, "sandbox": s}
	}
	o := object{
		"id": a.ID, "name": a.Name, "version": a.Version, "provider": a.Provider, "context": a.Context, "type": a.Type, "lifeCycleStatus": a.Status,
		"endpointConfig": endpoints, "corsConfiguration": a.CORS, "transport": a.Transports, "securityScheme": a.Schemes,
		"responseCachingEnabled": a.Caching, "cacheTimeout": 300,
	}
	if a.AuthHeader != "" {
		o["authorizationHeader"] = a.AuthHeader
	}
	if a.Tier != "" {
		o["apiThrottlingPolicy"] = a.Tier
	}
	return o
}

// model is the API in the archives of 2.6 to 3.x.
func (a API) model() object {
	template := a.Context
	if !strings.Contains(template, "{version}") {
		template += "/{version}"
	}
	o := object{
		"id":      object{"providerName": strings.ReplaceAll(a.Provider, "@", "-AT-"), "apiName": a.Name, "version": a.Version},
		"context": a.summary()["context"], "contextTemplate": template, "type": a.Type, "status": a.Status,
		"endpointConfig": text(a.Endpoints), "endpointSecured": a.Security != nil, "endpointAuthDigest": false,
		"corsConfiguration": a.CORS, "transports": strings.Join(a.Transports, ","), "apiSecurity": strings.Join(a.Schemes, ","),
		"authorizationHeader": a.AuthHeader, "responseCache": "Disabled", "cacheTimeout": 300, "apiLevelPolicy": nil,
	}
	if a.Security != nil {
		o["endpointUTUsername"], o["endpointUTPassword"] = a.Security["username"], a.Security["password"]
	}
	if a.Tier != "" {
		o["apiLevelPolicy"] = a.Tier
	}
	if a.Caching {
		o["responseCache"] = "Enabled"
	}
	return o
}

// File is a file of an archive.
type File struct{ Name, Content string }

// Files are the files of the archive that version 4 exports ("4"), or 2.6 ("2.6")
// or 3.x ("3").
func (a API) Files(version string) []File {
	top := a.Name + "-" + a.Version + "/"
	switch version {
	case "2.6":
		return []File{
			{top, ""}, {top + "Meta-information/", ""}, {top + "Meta-information/api.json", text(a.model())},
			{top + "Meta-information/swagger.json", a.Definition}, {top + "Image/icon.png", "\x89PNG"},
		}
	case "3":
		return []File{{top + "Meta-information/api.yaml", text(a.model())}, {top + "Meta-information/swagger.yaml", a.Definition}}
	}
	return []File{
		{top + "api.yaml", text(object{"type": "api", "version": "v4.1.0", "data": a.data()})}, {top + "Definitions/swagger.yaml", text(a.extended())},
		{top + "deployment_environments.yaml", "type: deployment_environments\n"},
	}
}

// Zip makes an archive.
func Zip(files []File) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.Name)
		if err == nil {
			_, err = w.Write([]byte(f.Content))
		}
		if err != nil {
			panic(err) // in memory
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

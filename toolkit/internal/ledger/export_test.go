package ledger

import "github.com/microgw/microgw/toolkit/internal/spec"

// NoVerdict is the reason that a keyword without a rule gets.
const NoVerdict = noVerdict

// HasRule reports whether a keyword, or an extension at some level, has a rule.
func HasRule(k spec.Keyword) bool {
	name := k.Object + " " + k.Key
	return acting[name] != nil || rules[name] != nil
}

// Converted is what becomes of a keyword of Swagger 2.0 that has another place
// in OpenAPI 3.0; an empty keyword is lost.
func Converted(k spec.Keyword) (to spec.Keyword, moved bool) {
	to, moved = converted[k]
	return to, moved
}

// EndpointRule reports whether a part of an endpoint object has a rule.
func EndpointRule(key string) bool { return endpointKeys[key] != nil }

// Rules are the names of all rules.
func Rules() []string {
	var names []string
	for name := range acting {
		names = append(names, name)
	}
	for name := range rules {
		names = append(names, name)
	}
	return names
}

// Package internal_test holds the lines between the packages of the runtime.
package internal_test

import (
	"os"
	"testing"

	"github.com/microgw/microgw/pkg/deptest"
)

const (
	root     = "github.com/microgw/microgw/"
	internal = root + "runtime/internal/"
)

func TestBoundaries(t *testing.T) {
	rules := []deptest.Rule{
		{
			In:     root + "runtime/...",
			Import: []string{root + "toolkit/...", root + "examples/..."},
			Tests:  true,
			Reason: "the halves meet in schema and pkg alone; what both need belongs there",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"github.com/pelletier/go-toml/..."},
			Except: []string{internal + "conf"},
			Reason: "the configuration file is read by conf",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"github.com/golang-jwt/jwt/..."},
			Except: []string{internal + "policy/jwt/...", internal + "keys/..."},
			Reason: "tokens are read by policy/jwt and keys",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"software.sslmate.com/src/go-pkcs12/..."},
			Except: []string{internal + "keys/...", internal + "gateway"},
			Reason: "key stores are opened by keys (trusted certificates) and gateway (its own)",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"github.com/go-stomp/stomp/..."},
			Reason: "STOMP is spoken by revocation/broker/stomp, which says why not with a library; tests publish with one",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"github.com/rabbitmq/amqp091-go/..."},
			Except: []string{internal + "revocation/broker/amqp091"},
			Reason: "AMQP 0-9-1 is spoken by revocation/broker/amqp091",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"github.com/Azure/go-amqp/..."},
			Except: []string{internal + "revocation/broker/amqp10"},
			Reason: "AMQP 1.0 is spoken by revocation/broker/amqp10",
		},
		{
			In:     internal + "policy/...",
			Import: []string{internal + "revocation/..."},
			Reason: "what knows of revoked tokens is handed to a policy, which asks no broker",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"github.com/go-ldap/ldap/...", "github.com/go-asn1-ber/asn1-ber/..."},
			Except: []string{internal + "userstore/ldap"},
			Reason: "directories are asked by userstore/ldap",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"golang.org/x/text/..."},
			Except: []string{internal + "userstore"},
			Reason: "names that are one to a user store are told by userstore",
		},
		{
			In:     root + "runtime/...",
			Import: []string{internal + "userstore/..."},
			Except: []string{internal + "gateway", internal + "userstore/..."},
			Reason: "a policy is handed its users; it does not know where they are",
		},
		{
			In:     root + "runtime/...",
			Import: []string{internal + "flight"},
			Except: []string{internal + "policy/basic", internal + "introspect"},
			Reason: "equal questions become one where they are asked: at passwords (policy/basic) and opaque tokens (introspect)",
		},
		{
			In:     root + "runtime/...",
			Import: []string{"golang.org/x/crypto/..."},
			Except: []string{internal + "policy/basic"},
			Reason: "passwords are hashed by policy/basic; everything else is in the standard library",
		},
		{
			In:     root + "runtime/...",
			Import: []string{root + "schema/artifactpb", "google.golang.org/protobuf/..."},
			Except: []string{internal + "plan", internal + "gateway", internal + "admin"},
			Reason: "the artifact is turned into Go values by plan; take those",
		},
		{
			In:     root + "runtime/...",
			Import: []string{internal + "conf"},
			Except: []string{internal + "gateway", internal + "plan", root + "runtime/cmd/runtime"},
			Reason: "below gateway a package takes its own small options, not the whole configuration",
		},
		{
			In:     internal + "policy/...",
			Import: []string{internal + "http1/...", internal + "engine/...", internal + "upstream/...", internal + "plan", internal + "gateway"},
			Reason: "a policy sees an exchange, not how it came or where it goes",
		},
	}
	rules = append(rules, deptest.Rule{
		In:     root + "runtime/...",
		Import: []string{internal + "introspect"},
		Except: []string{internal + "gateway", internal + "introspect"},
		Reason: "whoever judges tokens is handed to policy/jwt as a function, so that no policy knows of a network",
	})
	policies, err := os.ReadDir("policy")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range policies {
		for _, b := range policies {
			if a != b {
				rules = append(rules, deptest.Rule{
					In:     internal + "policy/" + a.Name() + "/...",
					Import: []string{internal + "policy/" + b.Name() + "/..."},
					Reason: "policies know nothing of each other; what one learns and another needs is a field of the exchange",
				})
			}
		}
	}
	// net/http hands each exchange across goroutines and allocates per
	// request, which the data path was written to avoid. Elsewhere (admin,
	// key sets) it is the right choice. http1 is not in the list because it
	// takes the reason phrases from there.
	for _, p := range []string{"engine", "exchange", "fault", "upstream", "policy/..."} {
		rules = append(rules, deptest.Rule{
			In:     internal + p,
			Import: []string{"net/http/..."},
			Reason: "the data path has its own HTTP/1.1 engine",
		})
	}
	deptest.Forbid(t, rules...)
}

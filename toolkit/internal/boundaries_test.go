// Package internal_test holds the lines between the packages of the toolkit.
package internal_test

import (
	"testing"

	"github.com/microgw/microgw/pkg/deptest"
)

const (
	root     = "github.com/microgw/microgw/"
	internal = root + "toolkit/internal/"
)

func TestBoundaries(t *testing.T) {
	deptest.Forbid(t,
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{root + "runtime/...", root + "examples/..."},
			Tests:  true,
			Reason: "the halves meet in schema and pkg alone; what both need belongs there",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"github.com/spf13/cobra/...", "github.com/spf13/pflag/..."},
			Except: []string{internal + "cli"},
			Reason: "the command line stops in cli; take values",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"github.com/getkin/kin-openapi/..."},
			Except: []string{internal + "spec", internal + "compile", internal + "mock"},
			Reason: "OpenAPI documents are read by spec and lowered by compile",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"go.yaml.in/yaml/..."},
			Except: []string{internal + "tree", internal + "fetch", internal + "deploy"},
			Reason: "documents are read by tree, which keeps their positions; what is written for Kubernetes is no document",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"github.com/pelletier/go-toml/..."},
			Except: []string{internal + "toml"},
			Reason: "TOML is read by toml, which keeps the positions",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"golang.org/x/crypto/x509roots/..."},
			Except: []string{internal + "deploy"},
			Reason: "what goes into images and clusters is made by deploy",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"k8s.io/..."},
			Tests:  true,
			Reason: "the types of Kubernetes are for the checks in tools alone: they are larger than the toolkit",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"software.sslmate.com/src/go-pkcs12/..."},
			Except: []string{internal + "apim", internal + "apim/apimtest", internal + "deploy"},
			Reason: "trust stores are read by apim, the key store of an ingress by deploy",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"golang.org/x/term/..."},
			Except: []string{internal + "cli"},
			Reason: "people are asked by the command line; take values",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{"github.com/golang-jwt/jwt/..."},
			Except: []string{internal + "devkey", internal + "apikey"},
			Reason: "tokens are made by devkey, API keys by apikey",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{root + "schema/artifactpb", "google.golang.org/protobuf/..."},
			Except: []string{internal + "build", internal + "cli", internal + "compile", internal + "diff", internal + "ledger", internal + "mock"},
			Reason: "the message is made by compile and passed through whole; the rest has types of its own",
		},
		deptest.Rule{
			In:     internal + "compile",
			Import: []string{"os", "os/...", "net", "net/http/...", "io/ioutil", "math/rand/..."},
			Reason: "compile is pure: the same documents give the same artifact; input and output are the caller's",
		},
		deptest.Rule{
			In:     internal + "diff/contract",
			Import: []string{root + "schema/...", internal + "build", internal + "compile", internal + "diff"},
			Reason: "contract compares two documents and knows nothing of artifacts: a library could take its place",
		},
		deptest.Rule{
			In:     root + "toolkit/...",
			Import: []string{internal + "cli"},
			Except: []string{root + "toolkit/cmd/micro-gw"},
			Reason: "nothing stands on the command line",
		},
	)
}

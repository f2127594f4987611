package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/apikey"
	"github.com/microgw/microgw/toolkit/internal/devkey"
)

const apikeyLong = `Make an API key: a signed text by which an application calls operations whose
security asks for a key. Only the key is printed. It is shown once and kept
nowhere; whoever has it can use it.

For development it is signed with the project's own development key, like what
micro-gw token makes, and works without any configuration:

    curl -H "api_key: $(micro-gw apikey petstore)" http://...

In production it is signed with a key of yours (PEM, PKCS#8: Ed25519, RSA, or
elliptic on P-256, P-384, P-521), in the name of an issuer that the gateways know:

    micro-gw keygen keys
    micro-gw apikey --key keys.key --issuer https://keys.example.com --application shop

    # micro-gw.conf
    [apikey.tokenConfigs]
    issuer = "https://keys.example.com"
    publicKeyFile = "keys.pub"

The gateways verify keys without asking anybody. Unless they listen for revoked
tokens (tokenRevocationConfig) a key is good until it runs out: choose --valid
accordingly, and restrict keys to what they are for. What a restriction refuses
is answered 403.

    --api      the APIs, by the title and version of their definitions
    --ip       addresses and networks of the callers, as the gateway sees them:
               behind a load balancer it needs listenerConfig.trustedProxies
    --referer  pages that a browser calls from; * is any text. A program can say
               that it is any page: this is for keys that are in web pages anyway

Exit codes: 0 printed; 1 a key cannot be read or made; 2 wrong arguments.`

const apikeyExamples = `  micro-gw apikey petstore
  micro-gw apikey --api 'Swagger Petstore:1.0.0' --ip 10.0.0.0/8 --valid 24h
  micro-gw apikey --referer 'https://shop.example/*' --output json | jq -r .key
  micro-gw apikey --key keys.key --issuer https://keys.example.com --application shop --valid 8760h`

// maxKeyLife is a bound on what is surely a slip.
const maxKeyLife = 100 * 365 * 24 * time.Hour

func (a *app) apikeyCommand() *cobra.Command {
	var (
		format                      output
		file, issuer, audience, kid string
		application, keyType        string
		apis, addresses, referers   []string
		valid                       time.Duration
	)
	cmd := &cobra.Command{
		Use:               "apikey [NAME|PATH]",
		Short:             "Make an API key",
		Long:              apikeyLong,
		Example:           apikeyExamples,
		Args:              atMostOneProject,
		ValidArgsFunction: completeFolders,
		RunE: func(cmd *cobra.Command, args []string) error {
			claims := apikey.Claims{Issuer: devkey.KeyIssuer, Audience: devkey.Audience, Subject: "developer"}
			if err := readLimits(&claims, apis, addresses, referers); err != nil {
				return err
			}
			kind, err := keyTypeOf(keyType)
			if err != nil {
				return err
			}
			claims.KeyType = string(kind)
			if valid < time.Second || valid > maxKeyLife {
				return usage("", "--valid %s: want between a second and a hundred years", valid)
			}
			if application != "" {
				claims.Application = &apikey.Application{Name: application}
				claims.Subject = application
			}
			var signer apikey.Signer
			switch {
			case file == "" && (issuer != "" || audience != "" || kid != ""):
				return usage("without --key the key is for development, and says so", "--issuer, --audience and --kid go with --key")
			case file != "" && issuer == "":
				return usage("the name that apikey.tokenConfigs.issuer has in micro-gw.conf", "--key goes with --issuer")
			case file != "" && len(args) > 0:
				return usage("without --key the key is for development, and signed with the project's own", "--key and a project do not go together")
			case issuer == devkey.KeyIssuer || issuer == devkey.Issuer:
				return usage("choose a name of your own", "--issuer %q is that of development", issuer)
			case file != "":
				if signer, err = apikey.Open(file); err != nil {
					return apikeyFailure(err)
				}
				claims.Issuer, claims.Audience = issuer, audience
				if kid != "" {
					signer.ID = kid
				}
			default:
				dir := projectOf(args)
				key, err := a.projectKey("apikey", dir)
				if err != nil {
					return err
				}
				signer = apikey.Signer{Key: key.Private(), ID: key.ID()}
				a.unknownAPIs(dir, claims.APIs)
			}
			key, err := signer.Sign(&claims, time.Now(), valid)
			if err != nil {
				return failed(err)
			}
			if format == outputJSON {
				return a.printJSON(struct {
					Key     string        `json:"key"`
					KeyID   string        `json:"kid"`
					Expires time.Time     `json:"expires"`
					Claims  apikey.Claims `json:"claims"`
				}{key, signer.ID, time.Unix(claims.Expires, 0).UTC(), claims})
			}
			fmt.Fprintln(a.out, key)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&apis, "api", nil, "`NAME[:VERSION]` of an API that the key is for, every version if none is given; can be repeated. All APIs if not given")
	f.StringArrayVar(&addresses, "ip", nil, "`ADDRESS` or network that it may come from; can be repeated, or with commas between")
	f.StringArrayVar(&referers, "referer", nil, "`PATTERN` that the Referer must fit; can be repeated")
	f.DurationVar(&valid, "valid", 720*time.Hour, "how long it is valid: 90s, 24h, 8760h")
	f.StringVar(&application, "application", "", "`NAME` of the application that it is for")
	addKeyType(cmd, &keyType)
	f.StringVar(&file, "key", "", "`FILE` with the private key to sign it with, instead of the project's development key")
	f.StringVar(&issuer, "issuer", "", "`NAME` of who gives the key out, with --key")
	f.StringVar(&audience, "audience", "", "`NAME` of who the key is for, if gateways ask for one (apikey.tokenConfigs.audience), with --key")
	f.StringVar(&kid, "kid", "", "`ID` of the private key, if gateways find it in a key set; made of the key if not given (RFC 7638)")
	addOutput(cmd, &format)
	return cmd
}

func readLimits(c *apikey.Claims, apis, addresses, referers []string) error {
	for _, s := range apis {
		api, err := apikey.ParseAPI(s)
		if err != nil {
			return usage("", "--api %q: %v", s, err)
		}
		if !slices.Contains(c.APIs, api) {
			c.APIs = append(c.APIs, api)
		}
	}
	var all []string
	for _, s := range addresses {
		list, err := apikey.ParseAddresses(s)
		if err != nil {
			return usage("", "--ip %v", err)
		}
		all = append(all, list...)
	}
	c.Addresses = strings.Join(all, ",")
	for _, s := range referers {
		if err := apikey.CheckReferer(s); err != nil {
			return usage("", "--referer %q: %v", s, err)
		}
	}
	c.Referers = strings.Join(referers, ",")
	return nil
}

// unknownAPIs warns of APIs that what was built last does not have. It may be
// old, so that is no error.
func (a *app) unknownAPIs(dir string, apis []apikey.API) {
	files, err := filepath.Glob(filepath.Join(dir, "target", "*.mgw"))
	if len(apis) == 0 || err != nil || len(files) != 1 {
		return
	}
	f, err := artifact.Open(files[0])
	if err != nil {
		return
	}
	var known []string
	for _, api := range f.GetApis() {
		known = append(known, api.GetTitle()+":"+api.GetVersion())
	}
	for _, want := range apis {
		if !slices.ContainsFunc(f.GetApis(), func(api *artifactpb.Api) bool {
			return api.GetTitle() == want.Name && (want.Version == "*" || want.Version == api.GetVersion())
		}) {
			fmt.Fprintf(a.err, "apikey: warning: no API %q of version %q is in %s\n\thint: there is %q\n", want.Name, want.Version, files[0], known)
		}
	}
}

func apikeyFailure(err error) error {
	f := &failure{code: exitError, err: fmt.Errorf("--key %w", err)}
	var bad *apikey.Error
	if errors.As(err, &bad) {
		f.hint = bad.Hint
	}
	return f
}

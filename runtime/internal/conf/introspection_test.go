package conf_test

import (
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// Whoever is asked must be able to know who asks.
func TestIntrospectionErrors(t *testing.T) {
	const url = "[introspection]\nurl = \"https://i/introspect\"\n"
	for name, tt := range map[string]struct{ file, want string }{
		"nobody":          {url, "runtime: micro-gw.conf:2:1: introspection.url: needs introspection.clientId (client_secret_basic)\nruntime: micro-gw.conf:2:1: introspection.url: needs introspection.clientSecret (client_secret_basic)"},
		"no key":          {url + "authMethod = \"private_key_jwt\"\nclientId = \"g\"\n", "runtime: micro-gw.conf:3:1: introspection.authMethod: needs introspection.keyFile (private_key_jwt)"},
		"no certificate":  {url + "authMethod = \"tls_client_auth\"\nclientId = \"g\"\nkeyFile = \"key.pem\"\n", "runtime: micro-gw.conf:3:1: introspection.authMethod: needs introspection.certificateFile (tls_client_auth)"},
		"without TLS":     {"[introspection]\nurl = \"http://i\"\nauthMethod = \"tls_client_auth\"\nclientId = \"g\"\nkeyFile = \"key.pem\"\ncertificateFile = \"cert.pem\"\n", "runtime: micro-gw.conf:2:1: introspection.url: without TLS there is no client certificate"},
		"password in URL": {"[introspection]\nurl = \"https://u:p@i\"\n", "runtime: micro-gw.conf:2:1: introspection.url: credentials in the URL are not supported"},
		"half a pair":     {url + "clientId = \"g\"\nclientSecret = \"s\"\ncertificateFile = \"cert.pem\"\n", "runtime: micro-gw.conf:5:1: introspection.certificateFile: needs introspection.keyFile"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, tt.file)
			if _, err := conf.Load(conf.Options{Path: "micro-gw.conf"}); err == nil || err.Error() != tt.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
		})
	}
}

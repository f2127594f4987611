package gateway_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/runtime/internal/gateway/gatewaytest"
	"github.com/microgw/microgw/schema/artifactpb"
)

// passwordProject wants a name and a password for /v1/pet.
func passwordProject(upstream string) *artifactpb.Artifact {
	a := project("users", upstream, nil)
	a.SecuritySchemes = []*artifactpb.SecurityScheme{{Kind: &artifactpb.SecurityScheme_Basic{Basic: &artifactpb.BasicScheme{}}}}
	a.RequiredFeatures = []artifactpb.Feature{artifactpb.Feature_FEATURE_SECURITY_ALTERNATIVES}
	a.Apis[0].Operations[1].Stages[0].Kind = &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{Alternatives: true}}
	return a
}

// Users of the conf file come first, and are nobody else; all others are those
// of the user store. What the store cannot say is 503.
func TestUserStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.mgw")
	put(t, path, passwordProject(teller(t).URL))

	var asked, status atomic.Int32
	status.Store(200)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		var got struct {
			Credentials struct{ Username, Password string }
		}
		_ = json.Unmarshal(body, &got)
		w.WriteHeader(int(status.Load()))
		// It has a user of every name, with this password.
		fmt.Fprintf(w, `{"response":{"status":"%v"}}`, got.Credentials.Password == "store-word")
	}))
	defer store.Close()
	sum := sha256.Sum256([]byte("file-word"))
	access := filepath.Join(t.TempDir(), "access.log")
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(
		"b7a.users.alice.password="+hex.EncodeToString(sum[:]), "userStore.http.urls="+store.URL,
		"accessLog.enabled=true", "accessLog.path="+access, "b7a.log.level=TRACE")}})
	if strings.Contains(g.log.String(), "need a name and a password") {
		t.Error("a warning that there are no users")
	}
	try := func(name, password string, code int, pattern string, questions int32) {
		t.Helper()
		before := asked.Load()
		g.expect("http://"+g.at.HTTP+"/v1/pet", code, pattern, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
		if n := asked.Load() - before; n != questions {
			t.Errorf("%s: the store was asked %d times, want %d", name, n, questions)
		}
	}
	const wrong = `"code":900911`
	try("alice", "file-word", 200, untold, 0)
	try("alice", "store-word", 401, wrong, 0)
	try("Alice", "store-word", 401, wrong, 0)
	try("bob", "store-word", 200, untold, 1)
	try("bob", "store-word", 200, untold, 0)
	try("bob", "file-word", 401, wrong, 1)
	try("bob", "", 401, wrong, 0)
	try("carol", "", 401, wrong, 0)
	status.Store(500)
	try("bob", "store-word", 200, untold, 0)
	ready := "http://" + g.at.Admin + "/ready"
	g.expect(ready, 200, `"warnings": \[\]`)
	try("carol", "store-word", 503, `"code":900900.*The user store is not available`, 1)
	g.untilLogged(`level=WARN msg="passwords cannot be checked; those not known yet are answered 503" store=userStore.http error=.*status 500`)
	g.expect(ready, 200, `passwords that are not known yet cannot be checked: userStore.http: user store http://\S+: status 500`)
	try("alice", "file-word", 200, untold, 0)
	status.Store(200)
	try("carol", "store-word", 200, untold, 1)
	g.untilLogged(`level=INFO msg="passwords can be checked again" store=userStore.http`)
	g.expect(ready, 200, `"warnings": \[\]`)
	store.Close()
	try("dave", "store-word", 503, `"code":900900`, 0)

	g.stop()
	lines, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"store-word", "file-word", base64.StdEncoding.EncodeToString([]byte("bob:store-word"))} {
		if strings.Contains(string(lines)+g.log.String(), secret) {
			t.Errorf("a log has %q", secret)
		}
	}
}

// A directory that knows ada; real ones are asked in userstore/ldap.
func TestDirectory(t *testing.T) {
	l := gatewaytest.Serve(t, func(c net.Conn) {
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			return
		}
		// A BindResponse (RFC 4511, section 4.2.2): success or invalidCredentials.
		code := byte(49)
		if strings.Contains(string(b[:n]), "uid=ada,ou=people") && strings.Contains(string(b[:n]), "lovelace") {
			code = 0
		}
		_, _ = c.Write([]byte{0x30, 12, 0x02, 1, 1, 0x61, 7, 0x0a, 1, code, 0x04, 0, 0x04, 0})
		_, _ = io.Copy(io.Discard, c)
	})
	path := filepath.Join(t.TempDir(), "users.mgw")
	put(t, path, passwordProject(teller(t).URL))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(
		"userStore.ldap.urls=ldap://"+l.Addr().String(), "userStore.ldap.userDN=uid={user},ou=people", "userStore.ldap.cacheTime=0s")}})
	for password, code := range map[string]int{"lovelace": 200, "wrong": 401, "": 401} {
		g.expect("http://"+g.at.HTTP+"/v1/pet", code, "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("Ada:"+password)))
	}
	l.Close()
	g.expect("http://"+g.at.HTTP+"/v1/pet", 503, `"code":900900`, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("ada:lovelace")))
}

// A directory that is searched, and a service for those who are not in it. Whoever
// is in one place is nobody else in the next.
func TestTwoUserStores(t *testing.T) {
	l := gatewaytest.Serve(t, func(c net.Conn) {
		b := make([]byte, 4096)
		for id := byte(1); ; id++ {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			says := string(b[:n])
			code := byte(49)
			switch {
			case strings.Contains(says, "broken"):
				return
			case strings.Contains(says, "lovelace"):
				code = 0
				fallthrough
			case strings.Contains(says, "cn="): // a bind: success or invalidCredentials
				_, err = c.Write([]byte{0x30, 12, 0x02, 1, id, 0x61, 7, 0x0a, 1, code, 0x04, 0, 0x04, 0})
			default:
				if strings.Contains(says, "ada") {
					// A SearchResultEntry (RFC 4511, section 4.5.2): cn=ada, no attributes.
					_, _ = c.Write([]byte("\x30\x10\x02\x01" + string(rune(id)) + "\x64\x0b\x04\x07cn=ada0\x30\x00"))
				}
				_, err = c.Write([]byte{0x30, 12, 0x02, 1, id, 0x65, 7, 0x0a, 1, 0, 0x04, 0, 0x04, 0})
			}
			if err != nil {
				return
			}
		}
	})
	var asked atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		// It has a user of every name, with this password.
		fmt.Fprintf(w, `{"response":{"status":%v}}`, strings.Contains(string(body), `"password":"service-word"`))
	}))
	defer service.Close()
	sum := sha256.Sum256([]byte("file-word"))
	path := filepath.Join(t.TempDir(), "users.mgw")
	put(t, path, passwordProject(teller(t).URL))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(
		"b7a.users.alice.password="+hex.EncodeToString(sum[:]),
		"userStore.ldap.urls=ldap://"+l.Addr().String(), "userStore.ldap.baseDN=dc=x", "userStore.ldap.cacheTime=0s",
		"userStore.http.urls="+service.URL, "userStore.http.cacheTime=0s")}})
	for _, c := range []struct {
		pair         string
		code         int
		askedService int32
	}{
		{"alice:file-word", 200, 0}, {"alice:service-word", 401, 0}, {"ALICE:lovelace", 401, 0},
		{"ada:lovelace", 200, 0}, {"Ada:lovelace", 200, 0}, {"ada:service-word", 401, 0}, {"ada :service-word", 401, 0},
		{"bob:service-word", 200, 1}, {"bob:wrong", 401, 1}, {"bob:", 401, 0},
		{"broken:service-word", 503, 0}, // the directory may have him
	} {
		before := asked.Load()
		g.expect("http://"+g.at.HTTP+"/v1/pet", c.code, "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.pair)))
		if n := asked.Load() - before; n != c.askedService {
			t.Errorf("%s: the service was asked %d times, want %d", c.pair, n, c.askedService)
		}
	}
}

// What is wrong with a store ends the start.
func TestUserStoreConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.mgw")
	put(t, path, project("users", "http://127.0.0.1:9", nil))
	for want, set := range map[string][]string{
		"userStore.ldap: \"{user}=x\":":                           {"userStore.ldap.urls=ldaps://a", "userStore.ldap.userDN={user}=x"},
		"userStore.ldap: \"ldaps://a/dc=x\" has more than a host": {"userStore.ldap.urls=ldaps://a/dc=x", "userStore.ldap.userDN=uid={user}"},
		"userStore.http: \"a.b\" is inside":                       {"userStore.http.urls=https://a", "userStore.http.nameField=a", "userStore.http.passwordField=a.b"},
		"userStore.ldap.authoritiesFile: ":                        {"userStore.ldap.urls=ldaps://a", "userStore.ldap.userDN=uid={user}", "userStore.ldap.authoritiesFile=" + path},
	} {
		_, err := gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Set: local(set...)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", set, err)
		}
	}
}

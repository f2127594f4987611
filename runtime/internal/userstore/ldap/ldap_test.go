package ldap_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/gateway/gatewaytest"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/userstore"
	"github.com/microgw/microgw/runtime/internal/userstore/ldap"
)

func check(t *testing.T, o ldap.Options, name, password string) (string, error) {
	t.Helper()
	d, err := ldap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return d.Check(ctx, name, password)
}

// verdict is "in as", "refused" or why that cannot be told.
func verdict(user string, err error) string {
	switch {
	case errors.Is(err, basic.ErrRefused):
		return "refused"
	case err != nil:
		return err.Error()
	}
	return "in as " + user
}

// serve answers each connection's requests with the given bytes, one after the
// other, and then says nothing more until the client hangs up; nil hangs up.
func serve(t *testing.T, answers ...[]byte) string {
	t.Helper()
	l := gatewaytest.Serve(t, func(c net.Conn) {
		request := make([]byte, 4096)
		for _, a := range answers {
			if a == nil {
				return
			}
			if _, err := c.Read(request); err != nil {
				return
			}
			if _, err := c.Write(a); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, c)
	})
	return "ldap://" + l.Addr().String()
}

// bindAnswer is a BindResponse (RFC 4511, section 4.2.2) with a code.
func bindAnswer(id, code byte) []byte {
	return []byte{0x30, 12, 0x02, 1, id, 0x61, 7, 0x0a, 1, code, 0x04, 0, 0x04, 0}
}

// A directory that does not keep to the protocol lets nobody in, and its
// nonsense does not pass for a verdict.
func TestMisbehaviour(t *testing.T) {
	for name, c := range map[string]struct {
		answers [][]byte
		want    string // "": an error
	}{
		"success":              {[][]byte{bindAnswer(1, 0)}, "in as ada"},
		"invalid credentials":  {[][]byte{bindAnswer(1, 49)}, "refused"},
		"no such object":       {[][]byte{bindAnswer(1, 32)}, "refused"},
		"busy":                 {[][]byte{bindAnswer(1, 51)}, ""},
		"unavailable":          {[][]byte{bindAnswer(1, 52)}, ""},
		"unwilling":            {[][]byte{bindAnswer(1, 53)}, ""},
		"referral":             {[][]byte{bindAnswer(1, 10)}, ""},
		"in the middle":        {[][]byte{bindAnswer(1, 14)}, ""},
		"hangs up":             {[][]byte{nil}, ""},
		"of another question":  {[][]byte{bindAnswer(7, 0), nil}, ""},
		"empty":                {[][]byte{{0x30, 0}, nil}, ""},
		"not LDAP":             {[][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), nil}, ""},
		"cut off":              {[][]byte{bindAnswer(1, 0)[:9], nil}, ""},
		"without a code":       {[][]byte{{0x30, 5, 0x02, 1, 1, 0x61, 0}, nil}, ""},
		"nested":               {[][]byte{[]byte(strings.Repeat("\x30\x80", 2000)), nil}, ""},
		"claims to be long":    {[][]byte{append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0xf0}, make([]byte, 2<<20)...)}, ""},
		"endless":              {[][]byte{[]byte(strings.Repeat("\x30\x02\x05\x00", 1<<17))}, ""},
		"code of another kind": {[][]byte{{0x30, 12, 0x02, 1, 1, 0x61, 7, 0x04, 1, 0, 0x04, 0, 0x04, 0}, nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := verdict(check(t, ldap.Options{URLs: []string{serve(t, c.answers...)}, UserDN: "uid={user},dc=x"}, "ada", "secret"))
			if c.want == "" && (got == "refused" || strings.HasPrefix(got, "in as")) || c.want != "" && got != c.want {
				t.Errorf("%s, want %q", got, c.want)
			}
		})
	}
}

// A directory that accepts connections and is silent costs the time there is, not
// more; StartTLS is not left out because it is refused.
func TestSilence(t *testing.T) {
	for name, o := range map[string]ldap.Options{
		"plain":    {URLs: []string{serve(t)}},
		"StartTLS": {URLs: []string{serve(t)}, StartTLS: true},
		"ldaps":    {URLs: []string{strings.Replace(serve(t), "ldap:", "ldaps:", 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			o.UserDN = "uid={user},dc=x"
			d, err := ldap.New(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			done := make(chan string, 1)
			go func() { done <- verdict(d.Check(ctx, "ada", "secret")) }()
			select {
			case got := <-done:
				if got == "refused" || strings.HasPrefix(got, "in as") {
					t.Error(got)
				}
			case <-time.After(patience):
				t.Error("it waits for ever")
			}
		})
	}
	// An extended response (RFC 4511, section 4.12): protocolError.
	refuses := serve(t, []byte{0x30, 12, 0x02, 1, 1, 0x78, 7, 0x0a, 1, 2, 0x04, 0, 0x04, 0}, bindAnswer(2, 0))
	if got := verdict(check(t, ldap.Options{URLs: []string{refuses}, StartTLS: true, UserDN: "uid={user},dc=x"}, "ada", "secret")); got == "refused" || strings.HasPrefix(got, "in as") {
		t.Errorf("without TLS: %s", got)
	}
}

// searchAnswer is a SearchResultDone (RFC 4511, section 4.5.2) that has found nothing.
func searchAnswer(id byte) []byte {
	return []byte{0x30, 12, 0x02, 1, id, 0x65, 7, 0x0a, 1, 0, 0x04, 0, 0x04, 0}
}

// Who is not in the directory costs as many questions as who is, and is not let in
// whatever the answer to the last one is.
func TestUnknown(t *testing.T) {
	for name, last := range map[string][]byte{"no": bindAnswer(2, 49), "yes": bindAnswer(2, 0), "nothing": nil} {
		o := ldap.Options{URLs: []string{serve(t, searchAnswer(1), last)}, BaseDN: "dc=x", Filter: "(uid={user})"}
		if user, err := check(t, o, "ada", "secret"); user != "" || !errors.Is(err, userstore.ErrUnknown) {
			t.Errorf("%s: %q, %v", name, user, err)
		}
	}
}

// A directory that refers to others for a part of what is searched does not say that
// nobody has the name. Who is found is let in all the same.
func TestReferred(t *testing.T) {
	// A SearchResultReference (RFC 4511, section 4.5.3), alone and behind an entry.
	reference := append([]byte{0x30, 18, 0x02, 1, 1, 0x73, 13, 0x04, 11}, "ldap://away"...)
	entry := []byte("\x30\x10\x02\x01\x01\x64\x0b\x04\x07cn=ada0\x30\x00")
	for name, c := range map[string]struct {
		found []byte
		last  byte
		want  string
	}{
		"nobody":                 {reference, 49, "refused"},
		"nobody, whatever comes": {reference, 0, "refused"},
		"somebody":               {append(slices.Clone(entry), reference...), 0, "in as ada"},
		"with another password":  {append(slices.Clone(entry), reference...), 49, "refused"},
	} {
		o := ldap.Options{URLs: []string{serve(t, append(c.found, searchAnswer(1)...), bindAnswer(2, c.last))}, BaseDN: "dc=x", Filter: "(uid={user})"}
		user, err := check(t, o, "ada", "secret")
		if got := verdict(user, err); got != c.want || errors.Is(err, userstore.ErrUnknown) {
			t.Errorf("%s: %s, want %s; sure that there is nobody: %t", name, got, c.want, errors.Is(err, userstore.ErrUnknown))
		}
	}
}

// In a name of another form only a few characters stand for the user.
func TestNamesOfAnotherForm(t *testing.T) {
	o := ldap.Options{URLs: []string{serve(t, bindAnswer(1, 0))}, UserDN: "{user}@example.com"}
	for name, want := range map[string]string{
		"ada.b-c_1": "in as ada.b-c_1", "ADA": "in as ada",
		"ada@evil.com\x00": "refused", "ada@evil.com,": "refused", `corp\ada`: "refused", "a b": "refused", "é": "refused",
	} {
		if got := verdict(check(t, o, name, "secret")); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]ldap.Options{
		"no URL":                {UserDN: "uid={user}"},
		"scheme":                {URLs: []string{"http://a"}, UserDN: "uid={user}"},
		"path":                  {URLs: []string{"ldap://a/dc=x"}, UserDN: "uid={user}"},
		"credentials":           {URLs: []string{"ldap://u:p@a"}, UserDN: "uid={user}"},
		"TLS twice":             {URLs: []string{"ldaps://a"}, StartTLS: true, UserDN: "uid={user}"},
		"no way":                {URLs: []string{"ldap://a"}},
		"two ways":              {URLs: []string{"ldap://a"}, UserDN: "uid={user}", BaseDN: "dc=x"},
		"no user":               {URLs: []string{"ldap://a"}, UserDN: "uid=user"},
		"two users":             {URLs: []string{"ldap://a"}, UserDN: "uid={user},cn={user}"},
		"an attribute":          {URLs: []string{"ldap://a"}, UserDN: "{user}=x"},
		"no name":               {URLs: []string{"ldap://a"}, UserDN: "uid={user},x"},
		"filter without user":   {URLs: []string{"ldap://a"}, BaseDN: "dc=x", Filter: "(uid=ada)"},
		"filter in pieces":      {URLs: []string{"ldap://a"}, BaseDN: "dc=x", Filter: "(uid={user}"},
		"base in pieces":        {URLs: []string{"ldap://a"}, BaseDN: "x", Filter: "(uid={user})"},
		"name without password": {URLs: []string{"ldap://a"}, BaseDN: "dc=x", Filter: "(uid={user})", BindDN: "cn=x"},
	} {
		if _, err := ldap.New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

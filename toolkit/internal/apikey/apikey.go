// Package apikey signs API keys: the tokens by which an application calls
// operations that ask for a key.
//
// The form is that of WSO2 API Microgateway 3.1, with the marks and limits of WSO2
// API Manager, so that either gateway reads them. What surprises: nothing here
// remembers a key, so none can be listed or taken back, and each runs out.
package apikey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Signer is who gives the keys out.
type Signer struct {
	Key crypto.Signer // ECDSA, RSA or Ed25519
	ID  string        // kid
}

// An API is what a key is good for.
type API struct {
	Name    string `json:"name"`    // the definition's title
	Version string `json:"version"` // "*": any
}

// An Application is who a key is for.
type Application struct {
	Name string `json:"name"`
}

// Claims are what a key says, in the order in which they are written.
type Claims struct {
	Issuer      string       `json:"iss"`
	Audience    string       `json:"aud,omitempty"`
	Subject     string       `json:"sub"`
	ID          string       `json:"jti"`
	IssuedAt    int64        `json:"iat"`
	Expires     int64        `json:"exp"`
	KeyType     string       `json:"keytype"`
	TokenType   string       `json:"token_type"`
	Application *Application `json:"application,omitempty"`
	APIs        []API        `json:"allowedAPIs,omitempty"`
	Addresses   string       `json:"permittedIP,omitempty"`
	Referers    string       `json:"permittedReferer,omitempty"`
}

// tokenType tells a key from an access token of the same issuer, as in WSO2 API
// Manager.
const tokenType = "apiKey"

// Sign gives c an ID and the dates, and signs it. It begins to be good now.
func (s Signer) Sign(c *Claims, now time.Time, valid time.Duration) (string, error) {
	if valid < time.Second {
		return "", fmt.Errorf("valid for %s, which is less than a second", valid)
	}
	c.ID, c.TokenType = rand.Text(), tokenType
	c.IssuedAt, c.Expires = now.Unix(), now.Add(valid).Unix()
	method, err := method(s.Key)
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(method, claims{c})
	t.Header["kid"] = s.ID
	signed, err := t.SignedString(s.Key)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed, nil
}

// claims lets the library write what it does not have to read.
type claims struct{ *Claims }

func (c claims) MarshalJSON() ([]byte, error)               { return json.Marshal(c.Claims) }
func (claims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (claims) GetIssuer() (string, error)                   { return "", nil }
func (claims) GetSubject() (string, error)                  { return "", nil }
func (claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// method returns the algorithm of a key: the one that the runtime takes for such
// a key if it is told nothing else.
func method(key crypto.Signer) (jwt.SigningMethod, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return nil, fmt.Errorf("an RSA key of %d bits; gateways take 2048 to 8192", bits)
		}
		return jwt.SigningMethodRS256, nil
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA, nil
	case *ecdsa.PrivateKey:
		switch k.Curve.Params().Name {
		case "P-256":
			return jwt.SigningMethodES256, nil
		case "P-384":
			return jwt.SigningMethodES384, nil
		case "P-521":
			return jwt.SigningMethodES512, nil
		}
		return nil, fmt.Errorf("an elliptic key on %s; gateways take P-256, P-384 and P-521", k.Curve.Params().Name)
	}
	return nil, fmt.Errorf("a key of the kind %T cannot sign API keys", key)
}

// An Error says what is wrong with a key file.
type Error struct {
	Path, Text string
	Hint       string // what to do about it; may be empty
}

func (e *Error) Error() string { return e.Path + ": " + e.Text }

// maxFile bounds what is read as a key; one of RSA with 8192 bits takes 6 KB.
const maxFile = 64 << 10

// Open reads a private key: PKCS#8 in PEM. Its ID is made of the key (RFC 7638).
// The error is an *Error.
func Open(path string) (Signer, error) {
	fail := func(hint, format string, args ...any) (Signer, error) {
		return Signer{}, &Error{path, fmt.Sprintf(format, args...), hint}
	}
	const makeOne = "micro-gw keygen makes a pair of keys"
	info, err := os.Stat(path)
	if err != nil {
		return fail("", "%v", cause(err))
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return fail(makeOne, "not a key file")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fail("", "%v", cause(err))
	}
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return fail(makeOne, "not a PEM file")
	case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return fail("nobody can be asked for its password here; write it decrypted for yourself alone: (umask 077; openssl pkey -in "+path+" -out PLAIN.key)", "the key is encrypted")
	case block.Type == "RSA PRIVATE KEY", block.Type == "EC PRIVATE KEY":
		return fail("(umask 077; openssl pkcs8 -topk8 -nocrypt -in "+path+" -out PKCS8.key)", "an older form of key (%s), where PKCS#8 is wanted", block.Type)
	case block.Type == "PUBLIC KEY", block.Type == "CERTIFICATE":
		return fail("give the private key of the pair", "a %s, which can verify but not sign", strings.ToLower(block.Type))
	case block.Type != "PRIVATE KEY":
		return fail(makeOne, "a PEM block of the type %q, where a private key is wanted", block.Type)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fail(makeOne, "damaged: it is no private key in PKCS#8 form")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return fail(makeOne, "a key of a kind (%T) that cannot sign", parsed)
	}
	if _, err := method(key); err != nil {
		return fail("", "%v", err)
	}
	id, err := Thumbprint(key.Public())
	if err != nil {
		return fail("", "%v", err)
	}
	return Signer{key, id}, nil
}

// cause leaves out of an error what its reader has been told.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// Thumbprint is the kid of a key (RFC 7638; for Ed25519 RFC 8037, appendix A.3).
func Thumbprint(public crypto.PublicKey) (string, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	var text string
	switch k := public.(type) {
	case *rsa.PublicKey:
		e := []byte{byte(k.E >> 24), byte(k.E >> 16), byte(k.E >> 8), byte(k.E)}
		for len(e) > 1 && e[0] == 0 {
			e = e[1:]
		}
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, b64(e), b64(k.N.Bytes()))
	case ed25519.PublicKey:
		text = fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, b64(k))
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 0x04, x, y
		if err != nil {
			return "", err
		}
		size := (len(point) - 1) / 2
		text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Curve.Params().Name, b64(point[1:1+size]), b64(point[1+size:]))
	default:
		return "", fmt.Errorf("a key of the kind %T", public)
	}
	sum := sha256.Sum256([]byte(text))
	return b64(sum[:]), nil
}

// ParseAPI reads NAME or NAME:VERSION.
func ParseAPI(s string) (API, error) {
	a := API{s, "*"}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		a = API{s[:i], s[i+1:]}
	}
	if a.Name == "" || a.Version == "" || strings.ContainsRune(a.Version, ',') {
		return API{}, errors.New("want NAME or NAME:VERSION; the version of all is *")
	}
	return a, nil
}

// ParseAddresses reads addresses and networks with commas between.
func ParseAddresses(s string) ([]string, error) {
	var all []string
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if a, err := netip.ParseAddr(part); err == nil && a.Zone() == "" {
			all = append(all, a.Unmap().String())
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", part)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("%s is a host in a network; the network is %s", p, p.Masked())
		}
		all = append(all, p.String())
	}
	return all, nil
}

// CheckReferer refuses patterns that no gateway understands, or that let in other
// sites than they seem to.
func CheckReferer(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == ',' || r == 0x7f }) {
		return errors.New("want a URL with * for any text, without blanks and commas: https://shop.example/*")
	}
	// https://shop.example* would fit https://shop.example.evil.example/ as well.
	_, rest, ok := strings.Cut(s, "://")
	host, _, path := strings.Cut(rest, "/")
	if ok && !path && strings.HasSuffix(host, "*") {
		return fmt.Errorf("fits pages of other sites, too, such as %sevil.example/; end the host with a slash: %s/*", strings.TrimSuffix(s, "*")+".", strings.TrimRight(s, "*"))
	}
	// And https://*shop.example/* https://evilshop.example/.
	if site, found := strings.CutPrefix(host, "*"); ok && found && site != "" && site[0] != '.' && site[0] != '*' {
		return fmt.Errorf("fits pages of other sites, too, such as those of evil%s; write a dot behind the asterisk: *.%s", site, site)
	}
	return nil
}

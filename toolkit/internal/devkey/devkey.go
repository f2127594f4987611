// Package devkey keeps the development key of a project and mints tokens with
// it.
//
// Every project has its own key, made by init, in a folder that the project's
// .gitignore names. The build puts the public half in the artifact; a runtime
// believes it in development mode only, and for the one issuer below. So a
// token of one project opens nothing of another, and an artifact that slips
// into production with the key inside opens nothing at all.
package devkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What every development token says of itself. The issuer's name can never
// resolve (RFC 2606, section 2), so nobody can come to own it.
const (
	Issuer   = "https://development.micro-gw.invalid"
	Audience = "micro-gw"
)

// KeyIssuer is what a development API key says of itself, beside the same
// audience. It is not Issuer, so that neither passes for the other.
const KeyIssuer = "https://apikey.development.micro-gw.invalid"

// Where a project keeps its key, relative to the project's folder.
const (
	Folder      = ".micro-gw"
	PrivateFile = Folder + "/dev-key.pem"
	PublicFile  = Folder + "/dev-key.pub.jwk"
)

// maxKeyFile bounds what is read as a key; a P-256 key takes about 240 bytes.
const maxKeyFile = 16 << 10

// A Key is the development key pair of one project.
type Key struct {
	private *ecdsa.PrivateKey
	id      string
	x, y    string
}

// Ensure returns the key of the project in dir and makes one if there is none;
// created tells which. A public half that is missing or does not belong to the
// private one is written anew, since the artifact would otherwise refuse every
// token of the key.
func Ensure(dir string) (k *Key, created bool, err error) {
	path := filepath.Join(dir, filepath.FromSlash(PrivateFile))
	k, err = read(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, created, err = create(path)
	}
	if err != nil {
		return nil, false, err
	}
	pub := filepath.Join(dir, filepath.FromSlash(PublicFile))
	want := append(k.JWK(), '\n')
	if have, err := os.ReadFile(pub); err != nil || string(have) != string(want) {
		if err := replace(pub, want, 0o644); err != nil {
			return nil, false, fmt.Errorf("development key: %w", err)
		}
	}
	return k, created, nil
}

func read(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("development key %s: not a key file", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("development key %s: not a PEM file; delete it to have a new key made", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("development key %s: %w; delete it to have a new key made", path, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("development key %s: not a P-256 key; delete it to have a new key made", path)
	}
	return newKey(private)
}

func create(path string) (*Key, bool, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, false, fmt.Errorf("development key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, false, fmt.Errorf("development key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, false, fmt.Errorf("development key: %w", err)
	}
	tmp, err := writeTemp(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("development key: %w", err)
	}
	defer os.Remove(tmp)
	// A link, not a rename: if another process made a key meanwhile, its key
	// stands and both use it.
	switch err := os.Link(tmp, path); {
	case errors.Is(err, fs.ErrExist):
		k, err := read(path)
		return k, false, err
	case err != nil:
		// A file system without hard links.
		if err := os.Rename(tmp, path); err != nil {
			return nil, false, fmt.Errorf("development key: %w", err)
		}
	}
	k, err := newKey(private)
	return k, true, err
}

func newKey(private *ecdsa.PrivateKey) (*Key, error) {
	point, err := private.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		return nil, fmt.Errorf("development key: %w", err)
	}
	size := (len(point) - 1) / 2
	k := &Key{
		private: private,
		x:       base64.RawURLEncoding.EncodeToString(point[1 : 1+size]),
		y:       base64.RawURLEncoding.EncodeToString(point[1+size:]),
	}
	// RFC 7638, section 3.2: the required members only, in lexicographic
	// order, without white space.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.x + `","y":"` + k.y + `"}`))
	k.id = base64.RawURLEncoding.EncodeToString(sum[:])
	return k, nil
}

// ID is the key's RFC 7638 thumbprint, the kid of its tokens.
func (k *Key) ID() string { return k.id }

// Private is the key itself, for other kinds of tokens.
func (k *Key) Private() crypto.Signer { return k.private }

// JWK is the public half as a JSON Web Key (RFC 7517), compact, always the
// same bytes for one key.
func (k *Key) JWK() []byte {
	data, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Crv string `json:"crv"`
		Kid string `json:"kid"`
		Kty string `json:"kty"`
		Use string `json:"use"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}{"ES256", "P-256", k.id, "EC", "sig", k.x, k.y})
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	return data
}

// KeyType is the environment a token is for; it decides between production and
// sandbox endpoints.
type KeyType string

const (
	Production KeyType = "PRODUCTION"
	Sandbox    KeyType = "SANDBOX"
)

// Claims is what a caller may choose about a token.
type Claims struct {
	Subject  string
	Scopes   []string // joined by a blank (RFC 8693, section 4.2); none leaves the claim out
	KeyType  KeyType  // PRODUCTION if empty
	IssuedAt time.Time
	Lifetime time.Duration
}

// Mint signs a token with the given claims.
func (k *Key) Mint(c Claims) (string, error) {
	if c.KeyType == "" {
		c.KeyType = Production
	}
	if c.Lifetime < time.Second {
		return "", fmt.Errorf("lifetime %s is shorter than a second", c.Lifetime)
	}
	// NumericDate counts whole seconds here; rounding down never makes a token
	// that is not valid yet.
	iat := c.IssuedAt.Unix()
	claims := jwt.MapClaims{
		"iss":     Issuer,
		"aud":     Audience,
		"sub":     c.Subject,
		"keytype": string(c.KeyType),
		"iat":     iat,
		"nbf":     iat,
		"exp":     c.IssuedAt.Add(c.Lifetime).Unix(),
		"jti":     rand.Text(),
	}
	if len(c.Scopes) > 0 {
		claims["scope"] = strings.Join(c.Scopes, " ")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = k.id
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// replace puts data at path in one step.
func replace(path string, data []byte, perm os.FileMode) error {
	tmp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// writeTemp writes data to a new file beside path. The file is made with mode
// 0600 and opened up afterwards, so a private key is at no time readable by
// others.
func writeTemp(path string, data []byte, perm os.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

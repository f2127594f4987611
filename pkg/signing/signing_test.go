package signing_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/signing"
)

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	private, public := filepath.Join(dir, "a.key"), filepath.Join(dir, "a.pub")
	made, err := signing.Create(private, public)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{private: 0o600, public: 0o644} {
		info, err := os.Stat(path)
		// Less is a matter of the umask.
		if err != nil || info.Mode().Perm()&^want != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	key, err := signing.Private(private)
	if err != nil || !made.Equal(key.Public()) {
		t.Errorf("private: %v", err)
	}
	keys, err := signing.Public(public)
	if err != nil || len(keys) != 1 || !made.Equal(keys[0]) {
		t.Errorf("public: %v", err)
	}

	before, _ := os.ReadFile(private)
	other := filepath.Join(dir, "b.key")
	for _, pair := range [][2]string{{private, public}, {private, filepath.Join(dir, "b.pub")}, {other, public}} {
		_, err := signing.Create(pair[0], pair[1])
		var bad *signing.Error
		if !errors.As(err, &bad) || bad.Text != "exists already" || bad.Hint == "" {
			t.Errorf("%v: got %v", pair, err)
		}
	}
	if after, _ := os.ReadFile(private); string(after) != string(before) {
		t.Error("the private key was overwritten")
	}
	for _, path := range []string{other, filepath.Join(dir, "b.pub")} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	if _, err := signing.Create(filepath.Join(dir, "no", "a.key"), filepath.Join(dir, "no", "a.pub")); err == nil || !strings.HasSuffix(err.Error(), "a.key: no such file or directory") {
		t.Errorf("got %v", err)
	}
}

// The key of RFC 8410, section 10, and what "openssl pkey" makes of it.
const (
	rfcPrivate = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
	rfcPublic  = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
)

func TestID(t *testing.T) {
	block, _ := pem.Decode([]byte(rfcPublic))
	want := fmt.Sprintf("sha256:%x", sha256.Sum256(block.Bytes))
	keys, err := signing.Public(write(t, rfcPublic))
	if err != nil || signing.ID(keys[0]) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	key, err := signing.Private(write(t, rfcPrivate))
	if err != nil || signing.ID(key.Public().(ed25519.PublicKey)) != want {
		t.Errorf("private: %v", err)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Every mistake with key files is named for what it is.
func TestMistakes(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecPrivate, _ := x509.MarshalPKCS8PrivateKey(ec)
	ecPublic, _ := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	const (
		make      = "micro-gw keygen makes a pair of keys"
		ed25519   = "artifacts are signed with Ed25519; " + make
		encrypted = "nobody can be asked for its password here; write it decrypted for its owner alone: (umask 077; openssl pkey -in FILE -out PLAIN.key)"
	)
	old := "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
	for _, tt := range []struct {
		name, text           string
		private, privateHint string // of Private; "" for good
		public, publicHint   string
		keys                 int // that Public returns
	}{
		{name: "private", text: rfcPrivate,
			public: "a private key, where the public one is wanted", publicHint: "give the public key of the pair; the private key stays where artifacts are signed"},
		{name: "public", text: rfcPublic, keys: 1,
			private: "a public key, which can verify but not sign", privateHint: "give the private key of the pair"},
		{name: "text around it", text: "the key of 2026\n" + rfcPublic + "\nnothing more\n", keys: 1,
			private: "a public key, which can verify but not sign", privateHint: "give the private key of the pair"},
		{name: "two public keys", text: rfcPublic + rfcPublic, keys: 2,
			private: "holds 2 keys or certificates, where one private key is wanted"},
		{name: "both halves", text: rfcPublic + rfcPrivate,
			private: "holds 2 keys or certificates, where one private key is wanted",
			public:  "a private key, where the public one is wanted", publicHint: "give the public key of the pair; the private key stays where artifacts are signed"},
		{name: "encrypted", text: block("ENCRYPTED PRIVATE KEY", []byte("x")),
			private: "the key is encrypted", privateHint: encrypted, public: "the key is encrypted", publicHint: encrypted},
		{name: "encrypted in the old way", text: old,
			private: "the key is encrypted", privateHint: encrypted, public: "the key is encrypted", publicHint: encrypted},
		{name: "P-256, private", text: block("PRIVATE KEY", ecPrivate),
			private: "not an Ed25519 key", privateHint: ed25519,
			public: "a private key, where the public one is wanted", publicHint: "give the public key of the pair; the private key stays where artifacts are signed"},
		{name: "P-256, public", text: block("PUBLIC KEY", ecPublic),
			private: "a public key, which can verify but not sign", privateHint: "give the private key of the pair",
			public: "not an Ed25519 key", publicHint: ed25519},
		{name: "RSA", text: block("RSA PRIVATE KEY", []byte("x")),
			private: `a key of kind "RSA", not an Ed25519 key`, privateHint: ed25519, public: `a key of kind "RSA", not an Ed25519 key`, publicHint: ed25519},
		{name: "OpenSSH", text: block("OPENSSH PRIVATE KEY", []byte("x")),
			private: "a key of OpenSSH, which has a form of its own", privateHint: make, public: "a key of OpenSSH, which has a form of its own", publicHint: make},
		{name: "certificate", text: block("CERTIFICATE", []byte("x")),
			private: "a certificate, not a key", privateHint: make, public: "a certificate, not a key", publicHint: make},
		{name: "something else", text: block("MESSAGE", []byte("x")),
			private: `a PEM file with "MESSAGE" in it, which is no key`, privateHint: make, public: `a PEM file with "MESSAGE" in it, which is no key`, publicHint: make},
		{name: "garbage in it", text: block("PRIVATE KEY", []byte("x")),
			private: "damaged: it is no private key in PKCS#8 form", privateHint: make,
			public: "a private key, where the public one is wanted", publicHint: "give the public key of the pair; the private key stays where artifacts are signed"},
		{name: "garbage in the public one", text: block("PUBLIC KEY", []byte("x")),
			private: "a public key, which can verify but not sign", privateHint: "give the private key of the pair", public: "damaged: it is no public key"},
		{name: "cut short", text: rfcPublic + rfcPublic[:70],
			private: "damaged: a key in it is not whole", public: "damaged: a key in it is not whole"},
		{name: "no PEM", text: "openapi: 3.0.3\n",
			private: "not a PEM file", privateHint: "a key file begins with -----BEGIN; " + make, public: "not a PEM file", publicHint: "a key file begins with -----BEGIN; " + make},
		{name: "empty", text: "",
			private: "not a PEM file", privateHint: "a key file begins with -----BEGIN; " + make, public: "not a PEM file", publicHint: "a key file begins with -----BEGIN; " + make},
		{name: "too large", text: strings.Repeat("x", 100_000),
			private: "too large for a key file", public: "too large for a key file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.text)
			_, err := signing.Private(path)
			check(t, "Private", path, err, tt.private, tt.privateHint)
			keys, err := signing.Public(path)
			check(t, "Public", path, err, tt.public, tt.publicHint)
			if len(keys) != tt.keys {
				t.Errorf("%d public keys, want %d", len(keys), tt.keys)
			}
		})
	}
	dir := t.TempDir()
	_, err = signing.Private(dir)
	check(t, "folder", dir, err, "a folder, not a key file", "")
	_, err = signing.Public(filepath.Join(dir, "x"))
	check(t, "nothing", filepath.Join(dir, "x"), err, "no such file or directory", make)
}

func check(t *testing.T, what, path string, err error, text, hint string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	var bad *signing.Error
	if !errors.As(err, &bad) || bad.Path != path || bad.Text != text || strings.ReplaceAll(bad.Hint, path, "FILE") != hint {
		t.Errorf("%s: got %+v\nwant %q, hint %q", what, err, text, hint)
	}
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(rfcPrivate))
	f.Add([]byte(rfcPublic + rfcPublic))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n"))
	path := filepath.Join(f.TempDir(), "key")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		// What is a private key is no public one.
		_, privateErr := signing.Private(path)
		keys, publicErr := signing.Public(path)
		if privateErr == nil && publicErr == nil || publicErr == nil && len(keys) == 0 {
			t.Errorf("%v, %v, %d keys", privateErr, publicErr, len(keys))
		}
	})
}

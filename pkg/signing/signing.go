// Package signing keeps the keys that artifacts are signed with: Ed25519 in PEM
// files, the private half as PKCS#8 (RFC 8410, section 7) and the public half as
// SubjectPublicKeyInfo (section 4), as openssl writes them.
//
// What surprises: nothing here is ever guessed or repaired. A file that holds
// something else than what was asked for is refused and named for what it is, as
// the likely mistake with two files that look alike is to swap them. And a
// private key is refused where the public one would do: it has no business on a
// machine that only verifies.
package signing

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Types of PEM blocks.
const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// maxFile bounds what is read as a key file; a pair of keys takes 250 bytes.
const maxFile = 64 << 10

// An Error says what is wrong with a key file.
type Error struct {
	Path string
	Text string
	Hint string // what to do about it; may be empty
}

func (e *Error) Error() string { return e.Path + ": " + e.Text }

const makeOne = "micro-gw keygen makes a pair of keys"

// ID names a key: "sha256:" and the SHA-256 of the SubjectPublicKeyInfo, in hex.
// It is what "openssl pkey -pubin -in FILE -outform DER | sha256sum" prints.
func ID(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // of this type of key never
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Create makes a pair of keys and writes it to two new files. Neither file is
// ever overwritten, and none is left if one cannot be written: a signing key
// that is lost cannot be had back.
func Create(private, public string) (ed25519.PublicKey, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	privDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, err
	}
	pubDER, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	if err := writeNew(private, privateBlock, privDER, 0o600); err != nil {
		return nil, err
	}
	if err := writeNew(public, publicBlock, pubDER, 0o644); err != nil {
		_ = os.Remove(private) // ours, and nobody has seen it
		return nil, err
	}
	return pub, nil
}

func writeNew(path, block string, der []byte, perm os.FileMode) error {
	// O_EXCL also refuses a link that leads nowhere.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) {
		return &Error{path, "exists already", "a key is never overwritten: choose another name, or move the old key away"}
	}
	if err != nil {
		return &Error{path, reason(err), ""}
	}
	err = pem.Encode(f, &pem.Block{Type: block, Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(path)
		return &Error{path, reason(err), ""}
	}
	return nil
}

// Private reads a private key. Its error is an *Error.
func Private(path string) (ed25519.PrivateKey, error) {
	blocks, err := read(path)
	if err != nil {
		return nil, err
	}
	if len(blocks) > 1 {
		return nil, &Error{path, fmt.Sprintf("holds %d keys or certificates, where one private key is wanted", len(blocks)), ""}
	}
	b := blocks[0]
	if b.Type == publicBlock {
		return nil, &Error{path, "a public key, which can verify but not sign", "give the private key of the pair"}
	}
	if err := foreign(path, b); err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return nil, &Error{path, "damaged: it is no private key in PKCS#8 form", makeOne}
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, &Error{path, "not an Ed25519 key", "artifacts are signed with Ed25519; " + makeOne}
	}
	return key, nil
}

// Public reads public keys; a file may hold more than one, for the time of a
// change from one to the next. Its error is an *Error.
func Public(path string) ([]ed25519.PublicKey, error) {
	blocks, err := read(path)
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PublicKey
	for _, b := range blocks {
		if b.Type == privateBlock {
			return nil, &Error{path, "a private key, where the public one is wanted", "give the public key of the pair; the private key stays where artifacts are signed"}
		}
		if err := foreign(path, b); err != nil {
			return nil, err
		}
		parsed, err := x509.ParsePKIXPublicKey(b.Bytes)
		if err != nil {
			return nil, &Error{path, "damaged: it is no public key", ""}
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, &Error{path, "not an Ed25519 key", "artifacts are signed with Ed25519; " + makeOne}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// foreign refuses what is neither of the two kinds of block, by name.
func foreign(path string, b *pem.Block) error {
	encrypted := b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED")
	switch {
	case encrypted:
		return &Error{path, "the key is encrypted", "nobody can be asked for its password here; write it decrypted for its owner alone: (umask 077; openssl pkey -in " + path + " -out PLAIN.key)"}
	case b.Type == privateBlock || b.Type == publicBlock:
		return nil
	case b.Type == "OPENSSH PRIVATE KEY":
		return &Error{path, "a key of OpenSSH, which has a form of its own", makeOne}
	case b.Type == "CERTIFICATE":
		return &Error{path, "a certificate, not a key", makeOne}
	case strings.HasSuffix(b.Type, " PRIVATE KEY") || strings.HasSuffix(b.Type, " PUBLIC KEY"):
		kind, _, _ := strings.Cut(b.Type, " ")
		return &Error{path, fmt.Sprintf("a key of kind %q, not an Ed25519 key", kind), "artifacts are signed with Ed25519; " + makeOne}
	}
	return &Error{path, fmt.Sprintf("a PEM file with %q in it, which is no key", b.Type), makeOne}
}

// read returns the PEM blocks of a file, one at least. Text around them is
// passed over, as RFC 7468, section 2, has it; a block that is cut short is not.
func read(path string) ([]*pem.Block, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{path, reason(err), makeOne}
	}
	if err != nil {
		return nil, &Error{path, reason(err), ""}
	}
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var blocks []*pem.Block
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	switch {
	case begun == 0:
		return nil, &Error{path, "not a PEM file", "a key file begins with -----BEGIN; " + makeOne}
	case len(blocks) != begun:
		return nil, &Error{path, "damaged: a key in it is not whole", ""}
	}
	return blocks, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("a folder, not a key file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		return nil, errors.New("too large for a key file")
	}
	return data, err
}

// reason strips what os puts before it: the path is said already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

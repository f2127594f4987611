package keys

// PKCS#12 stores (RFC 7292), read as far as needed to find a certificate by
// its alias. The usual Go library decodes such stores but drops the aliases,
// and without them one could only trust every certificate in the file.
//
//	PFX { version 3, authSafe, macData OPTIONAL }
//	  authSafe:  data, holding a SEQUENCE OF ContentInfo, each
//	             data (plain) or encryptedData (under the password), holding
//	    SafeContents: SEQUENCE OF SafeBag { bagId, value, attributes }
//
// The alias is the attribute friendlyName. Java marks a trusted certificate
// with an attribute of its own; the certificate of a private key is tied to
// the key's bag by localKeyID and may have its alias there. Private keys are
// never decrypted.
//
// Only DER is read, not BER's indefinite lengths: encoding/asn1 knows no
// others, and Java, OpenSSL and Go write DER.

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"unicode/utf16"
)

// Limits on stores: the file is the operator's own, but a wrong one should
// give an error and not a process that hangs or swells.
const (
	maxStoreSize  = 16 << 20
	maxIterations = 5_000_000
	maxSafes      = 64
)

// ErrPassword says that a store does not open with the password given.
var ErrPassword = errors.New("wrong password, or the store was changed without it")

// A Store is the certificates of a PKCS#12 file.
type Store struct{ entries []entry }

type entry struct {
	alias   string
	cert    *x509.Certificate
	trusted bool // marked as a trust anchor by Java
	keyID   string
}

// OpenStore reads a PKCS#12 file. The password "" opens a store without one.
func OpenStore(data []byte, password string) (*Store, error) {
	switch {
	case len(data) > maxStoreSize:
		return nil, fmt.Errorf("larger than %d bytes", maxStoreSize)
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return nil, errors.New("a JKS store, not PKCS#12; convert it with keytool -importkeystore -deststoretype pkcs12")
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return nil, errors.New("a PEM file, not PKCS#12")
	}
	bags, err := openPFX(data, password)
	if err != nil {
		return nil, err
	}
	s := &Store{}
	keyAlias := map[string]string{} // by localKeyID
	for _, b := range bags {
		if b.isKey() {
			if name, id := b.friendlyName(), b.localKeyID(); name != "" && id != "" {
				keyAlias[id] = name
			}
		}
	}
	for i, b := range bags {
		if !b.ID.Equal(oidCertBag) {
			continue
		}
		var cb certBag
		if err := unmarshal(b.Value.Bytes, &cb); err != nil {
			return nil, fmt.Errorf("certificate bag %d: %w", i+1, err)
		}
		if !cb.ID.Equal(oidX509Certificate) {
			continue // SDSI certificates
		}
		e := entry{alias: b.friendlyName(), trusted: b.has(oidJavaTrusted), keyID: b.localKeyID()}
		if e.alias == "" {
			e.alias = keyAlias[e.keyID]
		}
		if e.cert, err = x509.ParseCertificate(cb.Data); err != nil {
			return nil, fmt.Errorf("certificate %q: %w", e.alias, err)
		}
		s.entries = append(s.entries, e)
	}
	return s, nil
}

// Certificate returns the one certificate with that alias. Letter case does
// not count, as in Java. The error for a missing one names those there are.
func (s *Store) Certificate(alias string) (*x509.Certificate, error) {
	var found *x509.Certificate
	want := strings.ToLower(alias)
	for _, e := range s.entries {
		if e.alias == "" || strings.ToLower(e.alias) != want {
			continue
		}
		if found != nil && !found.Equal(e.cert) {
			return nil, fmt.Errorf("several certificates with the alias %q", alias)
		}
		found = e.cert
	}
	if found != nil {
		return found, nil
	}
	have := s.Aliases()
	if len(have) == 0 {
		return nil, fmt.Errorf("no certificate with the alias %q: none of the %d in the store has an alias", alias, len(s.entries))
	}
	for i, a := range have {
		have[i] = fmt.Sprintf("%q", a)
	}
	const most = 20
	more := ""
	if len(have) > most {
		more = fmt.Sprintf(" and %d more", len(have)-most)
		have = have[:most]
	}
	return nil, fmt.Errorf("no certificate with the alias %q; there are %s%s", alias, strings.Join(have, ", "), more)
}

// Aliases returns the aliases in the store, sorted.
func (s *Store) Aliases() []string {
	var list []string
	for _, e := range s.entries {
		if e.alias != "" {
			list = append(list, e.alias)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Trusted returns the certificates that Java would take as trust anchors for
// TLS. They say nothing about tokens.
func (s *Store) Trusted() []*x509.Certificate {
	var list []*x509.Certificate
	for _, e := range s.entries {
		if e.trusted {
			list = append(list, e.cert)
		}
	}
	return list
}

// Keys makes a set of the key of the certificate with that alias; see
// FromCertificate.
func (s *Store) Keys(alias, alg string) (*Static, error) {
	cert, err := s.Certificate(alias)
	if err != nil {
		return nil, err
	}
	set, err := FromCertificate(cert, alg)
	if err != nil {
		return nil, fmt.Errorf("alias %q: %w", alias, err)
	}
	return set, nil
}

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}

	oidKeyBag          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedKeyBag  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509Certificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}

	oidFriendlyName = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidLocalKeyID   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 21}
	oidJavaTrusted  = asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1} // trustedKeyUsage

	oidPBEWith3DES   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	oidPBEWithRC2128 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 5}
	oidPBEWithRC240  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}
	oidPBES2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidPBMAC1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}

	oidDESEDE3CBC = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
	oidAES128CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// digests by object identifier: as a digest (MAC of RFC 7292) and as an HMAC
// (PBKDF2, PBMAC1). block is the hash's input block, for the old derivation.
var digests = []struct {
	digest, hmac asn1.ObjectIdentifier
	new          func() hash.Hash
	block        int
}{
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, sha1.New, 64},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, sha256.New224, 64},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, sha256.New, 64},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, sha512.New384, 128},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, sha512.New, 128},
}

type pfx struct {
	Version  int
	AuthSafe contentInfo
	MacData  macData `asn1:"optional"`
}

type contentInfo struct {
	ContentType asn1.ObjectIdentifier
	Content     asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

type macData struct {
	Mac struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Salt       []byte
	Iterations int `asn1:"optional,default:1"`
}

type encryptedData struct {
	Version int
	Content struct {
		ContentType asn1.ObjectIdentifier
		Algorithm   pkix.AlgorithmIdentifier
		Data        []byte `asn1:"tag:0,optional"`
	}
}

type safeBag struct {
	ID         asn1.ObjectIdentifier
	Value      asn1.RawValue `asn1:"tag:0,explicit"`
	Attributes []attribute   `asn1:"set,optional"`
}

type attribute struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"set"`
}

type certBag struct {
	ID   asn1.ObjectIdentifier
	Data []byte `asn1:"tag:0,explicit"`
}

func (b *safeBag) isKey() bool { return b.ID.Equal(oidKeyBag) || b.ID.Equal(oidShroudedKeyBag) }

func (b *safeBag) has(id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(b.Attributes, func(a attribute) bool { return a.ID.Equal(id) })
}

// value returns the first value of an attribute: content and tag.
func (b *safeBag) value(id asn1.ObjectIdentifier) ([]byte, int) {
	for _, a := range b.Attributes {
		if a.ID.Equal(id) {
			var v asn1.RawValue
			if _, err := asn1.Unmarshal(a.Value.Bytes, &v); err == nil {
				return v.Bytes, v.Tag
			}
		}
	}
	return nil, 0
}

// friendlyName is a BMPString (RFC 2985, section 5.5.1): UTF-16, big endian.
func (b *safeBag) friendlyName() string {
	v, tag := b.value(oidFriendlyName)
	if tag != asn1.TagBMPString || len(v)%2 != 0 {
		return ""
	}
	units := make([]uint16, 0, len(v)/2)
	for i := 0; i < len(v); i += 2 {
		units = append(units, uint16(v[i])<<8|uint16(v[i+1]))
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00")
}

func (b *safeBag) localKeyID() string {
	v, tag := b.value(oidLocalKeyID)
	if tag != asn1.TagOctetString {
		return ""
	}
	return string(v)
}

// openPFX checks the MAC and returns all bags, decrypted.
func openPFX(data []byte, password string) ([]safeBag, error) {
	var p pfx
	if err := unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("not a PKCS#12 file: %w", err)
	}
	if p.Version != 3 || !p.AuthSafe.ContentType.Equal(oidData) {
		return nil, errors.New("not a PKCS#12 file protected by a password")
	}
	var authSafe []byte
	if err := unmarshal(p.AuthSafe.Content.Bytes, &authSafe); err != nil {
		return nil, err
	}
	pass := newPassword(password)
	if p.MacData.Mac.Algorithm.Algorithm == nil {
		// Whoever sets a password expects that it guards the file.
		if password != "" {
			return nil, errors.New("the store has no MAC, so the password cannot vouch for it; configure an empty password to trust the file as it is")
		}
	} else if err := p.MacData.verify(authSafe, &pass); err != nil {
		return nil, err
	}
	var safes []contentInfo
	if err := unmarshal(authSafe, &safes); err != nil {
		return nil, err
	}
	if len(safes) > maxSafes {
		return nil, fmt.Errorf("more than %d parts", maxSafes)
	}
	var bags []safeBag
	for i, ci := range safes {
		var content []byte
		var err error
		switch {
		case ci.ContentType.Equal(oidData):
			err = unmarshal(ci.Content.Bytes, &content)
		case ci.ContentType.Equal(oidEncryptedData):
			var ed encryptedData
			if err = unmarshal(ci.Content.Bytes, &ed); err == nil {
				content, err = decrypt(ed.Content.Algorithm, ed.Content.Data, pass)
			}
		default:
			err = fmt.Errorf("content type %v is not supported", ci.ContentType)
		}
		var list []safeBag
		if err == nil {
			err = unmarshal(content, &list)
		}
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i+1, err)
		}
		bags = append(bags, list...)
	}
	return bags, nil
}

// password in the two forms that PKCS#12 uses.
type password struct {
	utf8 []byte
	bmp  []byte // UTF-16 with a terminating zero (RFC 7292, appendix B.1)
}

func newPassword(s string) password {
	p := password{utf8: []byte(s)}
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		p.bmp = append(p.bmp, byte(u>>8), byte(u))
	}
	return p
}

// verify checks the MAC over the authenticated safe. For an empty password
// some programs leave out the terminating zero too; pass is set to the form
// that fits.
func (m *macData) verify(message []byte, pass *password) error {
	sum, err := m.sum(message, *pass)
	if err == nil && !hmac.Equal(sum, m.Mac.Digest) && len(pass.utf8) == 0 {
		pass.bmp = nil
		sum, err = m.sum(message, *pass)
	}
	if err != nil {
		return err
	}
	if !hmac.Equal(sum, m.Mac.Digest) {
		return ErrPassword
	}
	return nil
}

func (m *macData) sum(message []byte, pass password) ([]byte, error) {
	if m.Mac.Algorithm.Algorithm.Equal(oidPBMAC1) { // RFC 9579
		var params struct{ KDF, MAC pkix.AlgorithmIdentifier }
		if err := unmarshal(m.Mac.Algorithm.Parameters.FullBytes, &params); err != nil {
			return nil, err
		}
		newHash, err := hmacHash(params.MAC.Algorithm)
		if err != nil {
			return nil, err
		}
		// A short key would let a forger try them all (RFC 9579, section 6).
		key, err := pbkdf2Key(params.KDF, pass.utf8, 0)
		if err != nil {
			return nil, err
		}
		if len(key) < 20 {
			return nil, errors.New("the MAC's key is too short")
		}
		mac := hmac.New(newHash, key)
		mac.Write(message)
		return mac.Sum(nil), nil
	}
	for _, d := range digests {
		if m.Mac.Algorithm.Algorithm.Equal(d.digest) {
			key, err := derive(d.new, d.block, 3, pass.bmp, m.Salt, m.Iterations, d.new().Size())
			if err != nil {
				return nil, err
			}
			mac := hmac.New(d.new, key)
			mac.Write(message)
			return mac.Sum(nil), nil
		}
	}
	return nil, fmt.Errorf("MAC algorithm %v is not supported", m.Mac.Algorithm.Algorithm)
}

func hmacHash(id asn1.ObjectIdentifier) (func() hash.Hash, error) {
	for _, d := range digests {
		if id.Equal(d.hmac) {
			return d.new, nil
		}
	}
	return nil, fmt.Errorf("HMAC algorithm %v is not supported", id)
}

// decrypt opens encrypted content (CBC with the padding of RFC 8018, section
// 6.1.1, step 4).
func decrypt(alg pkix.AlgorithmIdentifier, data []byte, pass password) ([]byte, error) {
	block, iv, err := cipherFor(alg, pass)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size {
		return nil, fmt.Errorf("initialisation vector of %d bytes", len(iv))
	}
	if len(data) == 0 || len(data)%size != 0 {
		return nil, errors.New("encrypted data is cut short")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size || !bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, ErrPassword
	}
	return plain[:len(plain)-pad], nil
}

func cipherFor(alg pkix.AlgorithmIdentifier, pass password) (cipher.Block, []byte, error) {
	if alg.Algorithm.Equal(oidPBES2) {
		return pbes2(alg, pass)
	}
	var keyLen int
	newCipher := newRC2
	switch {
	case alg.Algorithm.Equal(oidPBEWith3DES):
		keyLen, newCipher = 24, des.NewTripleDESCipher
	case alg.Algorithm.Equal(oidPBEWithRC2128):
		keyLen = 16
	case alg.Algorithm.Equal(oidPBEWithRC240):
		keyLen = 5
	default:
		return nil, nil, fmt.Errorf("encryption %v is not supported", alg.Algorithm)
	}
	var params struct {
		Salt       []byte
		Iterations int
	}
	if err := unmarshal(alg.Parameters.FullBytes, &params); err != nil {
		return nil, nil, err
	}
	key, err := derive(sha1.New, 64, 1, pass.bmp, params.Salt, params.Iterations, keyLen)
	if err != nil {
		return nil, nil, err
	}
	iv, err := derive(sha1.New, 64, 2, pass.bmp, params.Salt, params.Iterations, 8)
	if err != nil {
		return nil, nil, err
	}
	block, err := newCipher(key)
	return block, iv, err
}

// pbes2 is RFC 8018, section 6.2. Its password is UTF-8, as Java and OpenSSL
// have it.
func pbes2(alg pkix.AlgorithmIdentifier, pass password) (cipher.Block, []byte, error) {
	var params struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	if err := unmarshal(alg.Parameters.FullBytes, &params); err != nil {
		return nil, nil, err
	}
	keyLen, newCipher := 0, aes.NewCipher
	switch s := params.Scheme.Algorithm; {
	case s.Equal(oidAES128CBC):
		keyLen = 16
	case s.Equal(oidAES192CBC):
		keyLen = 24
	case s.Equal(oidAES256CBC):
		keyLen = 32
	case s.Equal(oidDESEDE3CBC):
		keyLen, newCipher = 24, des.NewTripleDESCipher
	default:
		return nil, nil, fmt.Errorf("encryption %v is not supported", s)
	}
	key, err := pbkdf2Key(params.KDF, pass.utf8, keyLen)
	if err != nil {
		return nil, nil, err
	}
	var iv []byte
	if err := unmarshal(params.Scheme.Parameters.FullBytes, &iv); err != nil {
		return nil, nil, err
	}
	block, err := newCipher(key)
	return block, iv, err
}

// pbkdf2Key derives a key of the wanted length, or of the length that the
// parameters name if want is 0.
func pbkdf2Key(kdf pkix.AlgorithmIdentifier, pass []byte, want int) ([]byte, error) {
	if !kdf.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("key derivation %v is not supported", kdf.Algorithm)
	}
	var params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if err := unmarshal(kdf.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	newHash := sha1.New // the default (RFC 8018, appendix A.2)
	if params.PRF.Algorithm != nil {
		var err error
		if newHash, err = hmacHash(params.PRF.Algorithm); err != nil {
			return nil, err
		}
	}
	if want == 0 {
		want = params.KeyLength
	}
	if want < 1 || want > 64 || (params.KeyLength != 0 && params.KeyLength != want) {
		return nil, fmt.Errorf("key length %d does not fit", params.KeyLength)
	}
	if params.Iterations < 1 || params.Iterations > maxIterations {
		return nil, fmt.Errorf("%d iterations; at most %d are accepted", params.Iterations, maxIterations)
	}
	return pbkdf2.Key(newHash, string(pass), params.Salt, params.Iterations, want)
}

// derive is the key derivation of RFC 7292, appendix B.2; purpose is 1 for a
// key, 2 for an initialisation vector and 3 for a MAC key. The names are those
// of the RFC.
func derive(newHash func() hash.Hash, v int, purpose byte, pass, salt []byte, iterations, n int) ([]byte, error) {
	if iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("%d iterations; at most %d are accepted", iterations, maxIterations)
	}
	if len(salt) > 1024 || len(pass) > 4096 {
		return nil, errors.New("salt or password is too long")
	}
	d := bytes.Repeat([]byte{purpose}, v)
	// fill repeats b to a multiple of v; nothing stays nothing.
	fill := func(b []byte) []byte {
		out := make([]byte, (len(b)+v-1)/v*v)
		for i := range out {
			out[i] = b[i%len(b)]
		}
		return out
	}
	i := append(fill(salt), fill(pass)...)
	h := newHash()
	var out, a []byte
	for {
		h.Reset()
		h.Write(d)
		h.Write(i)
		a = h.Sum(a[:0])
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		out = append(out, a...)
		if len(out) >= n {
			return out[:n], nil
		}
		// Add B+1 to each block of I, modulo 2^v.
		for block := 0; block < len(i); block += v {
			carry := 1
			for k := v - 1; k >= 0; k-- {
				carry += int(i[block+k]) + int(a[k%len(a)])
				i[block+k] = byte(carry)
				carry >>= 8
			}
		}
	}
}

// unmarshal is asn1.Unmarshal that refuses trailing bytes.
func unmarshal(data []byte, to any) error {
	rest, err := asn1.Unmarshal(data, to)
	if err == nil && len(rest) != 0 {
		err = errors.New("trailing bytes")
	}
	return err
}

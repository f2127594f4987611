// Package artifact reads and writes the file that the toolkit hands to the
// runtime.
//
// # Format
//
// All integers are big-endian. A file of format 1 is
//
//	offset  size  what
//	     0     8  magic: "MGWA" CR LF 0x1A LF
//	     8     4  format version: 1
//	    12     4  flags: bit 0 says that a signature follows; all others are 0
//	    16     8  n, the length of the payload
//	    24    32  SHA-256 of the payload
//	    56     n  payload: microgw.artifact.v1.Artifact, protobuf
//	  56+n   100  signature, if flag 0 is set, and nothing after it:
//	           4    algorithm: 1, Ed25519
//	          32    public key
//	          64    signature of "micro-gw artifact v1" NUL and bytes 0 to 55
//
// The magic is broken by whatever takes the file for text, as PNG's is. The
// first twelve bytes keep their meaning in every later format.
//
// The digest is the artifact's identity. It covers the payload alone, so that
// signing does not change it, and every header bit is pinned otherwise: magic
// and version by value, flags and length by the size of the file.
//
// What surprises: a valid signature proves only that the file is as the owner
// of the key in it made it, and whoever changes a file can sign it anew, or take
// the signature away. So Open accepts files that anybody or nobody signed; to
// insist on certain keys is OpenSigned.
package artifact

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/schema/artifactpb"
)

const (
	magic = "MGWA\r\n\x1a\n"

	// Format is the newest format version that this package reads, and the
	// one that it writes.
	Format = 1

	headerLen    = 56
	signatureLen = 4 + ed25519.PublicKeySize + ed25519.SignatureSize

	flagSigned = 1 << 0

	algEd25519 = 1

	// signatureContext keeps signatures of artifacts from passing for
	// signatures of anything else made with the same key.
	signatureContext = "micro-gw artifact v1\x00"

	// MaxSize bounds the file, and so the memory that reading it takes. The
	// largest descriptions published today make some 20 MiB.
	MaxSize = 512 << 20
)

// A File is an artifact that was verified as a whole: digest, signature if
// there is one, and every reference in the payload.
type File struct {
	*artifactpb.Artifact

	Digest [sha256.Size]byte // SHA-256 of the payload
	Size   int64             // of the whole file
	Format uint32
	Path   string            // as given to Open; empty after Parse
	Signer ed25519.PublicKey // who signed it; nil if nobody did
}

// Marshal returns the bytes of an artifact file. Equal messages give equal
// bytes. A message that Parse would refuse is an error.
func Marshal(a *artifactpb.Artifact) ([]byte, error) {
	if err := validate(a); err != nil {
		return nil, err
	}
	data := make([]byte, headerLen, headerLen+proto.Size(a))
	data, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(data, a)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("artifact of %d bytes is over the limit of %d", len(data), MaxSize)
	}
	copy(data, magic)
	binary.BigEndian.PutUint32(data[8:], Format)
	binary.BigEndian.PutUint64(data[16:], uint64(len(data)-headerLen))
	digest := sha256.Sum256(data[headerLen:])
	copy(data[24:], digest[:])
	return data, nil
}

// Sign returns the artifact file data with a signature made by key. A
// signature that data already has is replaced.
func Sign(data []byte, key ed25519.PrivateKey) ([]byte, error) {
	f, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if f.Signer != nil {
		data = data[:len(data)-signatureLen]
	}
	signed := append(make([]byte, 0, len(data)+signatureLen), data...)
	binary.BigEndian.PutUint32(signed[12:], flagSigned)
	sig := ed25519.Sign(key, signedMessage(signed))
	signed = binary.BigEndian.AppendUint32(signed, algEd25519)
	signed = append(signed, key.Public().(ed25519.PublicKey)...)
	return append(signed, sig...), nil
}

func signedMessage(data []byte) []byte {
	return append([]byte(signatureContext), data[:headerLen]...)
}

// Open reads and verifies the artifact at path. Its error begins with path and
// is one line.
func Open(path string) (*File, error) { return open(path, Parse) }

// OpenSigned is Open for a caller that trusts certain keys: an artifact that
// none of them signed is refused, with a *NotTrustedError, before anything of
// its payload is looked at. Without keys every artifact is refused.
func OpenSigned(path string, keys []ed25519.PublicKey) (*File, error) {
	return open(path, func(data []byte) (*File, error) { return ParseSigned(data, keys) })
}

func open(path string, parse func([]byte) (*File, error)) (*File, error) {
	data, err := readFile(path)
	if err == nil {
		var f *File
		if f, err = parse(data); err == nil {
			f.Path = path
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// A NotTrustedError says that an artifact is whole, but not signed by a key that
// the caller trusts.
type NotTrustedError struct {
	Signer ed25519.PublicKey // nil: nobody signed it
}

func (e *NotTrustedError) Error() string {
	if e.Signer == nil {
		return "the artifact is not signed"
	}
	return "the artifact is signed by key " + signing.ID(e.Signer) + ", which is not trusted"
}

// readFile reads at most MaxSize bytes. Its errors do not name the path.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, withoutPath(err)
	}
	if info.IsDir() {
		// A project, as a rule: its name is what micro-gw is given.
		if built, _ := filepath.Glob(filepath.Join(path, "target", "*.mgw")); len(built) == 1 {
			return nil, fmt.Errorf("is a directory; the artifact in it is %s", built[0])
		}
		return nil, errors.New("is a directory, not an artifact")
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("%d bytes are more than an artifact may have (%d)", info.Size(), MaxSize)
	}
	// The size may be 0 (a pipe) or wrong (a file being written), so it is
	// only a hint, and one byte more than allowed tells that there is more.
	var buf bytes.Buffer
	buf.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(f, MaxSize+1)); err != nil {
		return nil, withoutPath(err)
	}
	return buf.Bytes(), nil
}

// withoutPath strips what os puts before the reason, because Open and Write
// begin their errors with the path themselves.
func withoutPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}

// Parse verifies data, which is a whole artifact file, and returns what is in
// it. It keeps no reference to data.
func Parse(data []byte) (*File, error) {
	return parse(data, func(ed25519.PublicKey) bool { return true })
}

// ParseSigned is to Parse what OpenSigned is to Open.
func ParseSigned(data []byte, keys []ed25519.PublicKey) (*File, error) {
	return parse(data, func(signer ed25519.PublicKey) bool {
		return signer != nil && slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return k.Equal(signer) })
	})
}

// parse is Parse with a say in who may have signed: trusted is asked once the
// signature, if there is one, is known to be valid.
func parse(data []byte, trusted func(ed25519.PublicKey) bool) (*File, error) {
	if len(data) == 0 {
		return nil, errors.New("not a micro-gw artifact: the file is empty")
	}
	if n := min(len(data), len(magic)); string(data[:n]) != magic[:n] {
		return nil, errors.New("not a micro-gw artifact")
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("more than the %d bytes that an artifact may have", MaxSize)
	}
	if len(data) >= 12 {
		switch format := binary.BigEndian.Uint32(data[8:]); {
		case format > Format:
			return nil, fmt.Errorf("artifact format %d is newer than this runtime reads (%d)", format, Format)
		case format < 1:
			return nil, fmt.Errorf("damaged artifact: there is no format %d", format)
		}
	}
	if len(data) < headerLen {
		return nil, fmt.Errorf("truncated artifact: %d bytes are less than its header", len(data))
	}
	f := &File{Format: binary.BigEndian.Uint32(data[8:]), Size: int64(len(data))}
	flags := binary.BigEndian.Uint32(data[12:])
	if flags&^flagSigned != 0 {
		return nil, fmt.Errorf("artifact has flags %#x, of which this runtime knows %#x", flags, flagSigned)
	}
	trailer := 0
	if flags&flagSigned != 0 {
		trailer = signatureLen
	}
	// The length is compared, never used: no arithmetic with it can overflow.
	want := binary.BigEndian.Uint64(data[16:])
	have := len(data) - headerLen - trailer
	switch {
	case have < 0 || want > uint64(have):
		return nil, fmt.Errorf("truncated artifact: the header announces %d bytes of payload, %d are there", want, max(have, 0))
	case want < uint64(have):
		return nil, fmt.Errorf("damaged artifact: %d bytes follow its end", uint64(have)-want)
	}
	payload := data[headerLen : headerLen+have]
	f.Digest = sha256.Sum256(payload)
	if !bytes.Equal(f.Digest[:], data[24:headerLen]) {
		return nil, errors.New("damaged artifact: SHA-256 of the payload is not the one in the header")
	}
	if flags&flagSigned != 0 {
		block := data[headerLen+have:]
		if alg := binary.BigEndian.Uint32(block); alg != algEd25519 {
			return nil, fmt.Errorf("artifact is signed with algorithm %d, which this runtime does not know", alg)
		}
		key := ed25519.PublicKey(bytes.Clone(block[4 : 4+ed25519.PublicKeySize]))
		if !ed25519.Verify(key, signedMessage(data), block[4+ed25519.PublicKeySize:]) {
			return nil, errors.New("damaged artifact: its signature is not valid")
		}
		f.Signer = key
	}
	if !trusted(f.Signer) {
		return nil, &NotTrustedError{f.Signer}
	}
	f.Artifact = new(artifactpb.Artifact)
	if err := proto.Unmarshal(payload, f.Artifact); err != nil {
		// The library's text varies its spaces between builds on purpose, and
		// says nothing that helps: the digest was right, so whoever wrote
		// this wrote no Artifact.
		return nil, errors.New("invalid artifact: the payload is not an Artifact message")
	}
	if err := validate(f.Artifact); err != nil {
		return nil, err
	}
	return f, nil
}

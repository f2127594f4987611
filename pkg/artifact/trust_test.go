package artifact_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
)

func keyOf(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func publicOf(keys ...ed25519.PrivateKey) (list []ed25519.PublicKey) {
	for _, k := range keys {
		list = append(list, k.Public().(ed25519.PublicKey))
	}
	return list
}

// What somebody can do who has the file, other files that the trusted key has
// signed, and a key of their own: none of it passes for the owner's work.
func TestParseSigned(t *testing.T) {
	const trailer = 100
	ours, theirs := testKey(), keyOf(2)
	plain := marshal(t, sample())
	signed := sign(t, plain)
	forged := sample()
	forged.Apis[0].BasePath = "/forged"
	other := marshal(t, forged) // of the same length or not: both are tried below
	otherSigned := sign(t, other)
	signedBy := func(data []byte, k ed25519.PrivateKey) []byte {
		t.Helper()
		s, err := artifact.Sign(data, k)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	set := func(data []byte, at int, b byte) []byte {
		data = bytes.Clone(data)
		data[at] = b
		return data
	}
	body, sig := signed[:len(signed)-trailer], signed[len(signed)-trailer:]
	otherBody, otherSig := otherSigned[:len(otherSigned)-trailer], otherSigned[len(otherSigned)-trailer:]
	theirsSig := signedBy(plain, theirs)[len(plain):]
	// The same key's signature of the same bytes, without the words before them.
	bare := join(body, sig[:4+ed25519.PublicKeySize], ed25519.Sign(ours, body[:56]))

	const notSigned, damaged = "the artifact is not signed", "damaged artifact: its signature is not valid"
	notTrusted := "the artifact is signed by key " + signing.ID(publicOf(theirs)[0]) + ", which is not trusted"
	for _, tt := range []struct {
		name string
		data []byte
		want string // "" for good
	}{
		{"signed", signed, ""},
		{"signed over another signature", signedBy(signedBy(plain, theirs), ours), ""},
		{"never signed", plain, notSigned},
		{"signature and flag taken away", set(body, 15, 0), notSigned},
		{"flag taken away", set(signed, 15, 0), "damaged artifact: 100 bytes follow its end"},
		{"signature taken away", body, ""}, // the text depends on the length; see below
		{"flag of another bit", set(signed, 15, 3), "artifact has flags 0x3, of which this runtime knows 0x1"},
		{"signed by somebody else", signedBy(plain, theirs), notTrusted},
		{"our signature replaced", signedBy(signed, theirs), notTrusted},
		{"their signature under our key", join(body, sig[:4+ed25519.PublicKeySize], theirsSig[4+ed25519.PublicKeySize:]), damaged},
		{"our signature under their key", join(body, theirsSig[:4+ed25519.PublicKeySize], sig[4+ed25519.PublicKeySize:]), damaged},
		{"our signature of another file", join(body, otherSig), damaged},
		{"another file under our signature", join(otherBody, sig), damaged},
		{"another payload under our header", join(signed[:56], otherBody[56:], sig), ""},
		{"both signatures", join(signed, theirsSig), "damaged artifact: 100 bytes follow its end"},
		{"their signature, then ours", join(body, theirsSig, sig), "damaged artifact: 100 bytes follow its end"},
		{"another algorithm", set(signed, len(body)+3, 2), "artifact is signed with algorithm 2, which this runtime does not know"},
		{"another algorithm of 32 bits", set(signed, len(body), 1), "artifact is signed with algorithm 16777217, which this runtime does not know"},
		{"signed without the context", bare, damaged},
		{"older format", set(signed, 11, 0), "damaged artifact: there is no format 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := artifact.ParseSigned(tt.data, publicOf(ours))
			switch {
			case tt.name == "signature taken away" || tt.name == "another payload under our header":
				if err == nil {
					t.Error("accepted")
				}
			case tt.want == "":
				if err != nil || !f.Signer.Equal(ours.Public()) {
					t.Errorf("refused: %v", err)
				}
			case err == nil || err.Error() != tt.want:
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}

	t.Run("any of several keys", func(t *testing.T) {
		if _, err := artifact.ParseSigned(signed, publicOf(theirs, ours)); err != nil {
			t.Error(err)
		}
	})
	t.Run("no key at all", func(t *testing.T) {
		var untrusted *artifact.NotTrustedError
		for _, data := range [][]byte{plain, signed} {
			if _, err := artifact.ParseSigned(data, nil); !errors.As(err, &untrusted) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("a key of no length", func(t *testing.T) {
		if _, err := artifact.ParseSigned(plain, []ed25519.PublicKey{nil, {}}); err == nil {
			t.Error("an unsigned artifact passes for one that nobody signed")
		}
	})
	t.Run("every bit", func(t *testing.T) {
		for bit := range len(signed) * 8 {
			bad := bytes.Clone(signed)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := artifact.ParseSigned(bad, publicOf(ours)); err == nil {
				t.Fatalf("bit %d of byte %d makes no difference", bit%8, bit/8)
			}
		}
	})
	t.Run("every length", func(t *testing.T) {
		for n := range signed {
			// With the length in the header made to fit, too.
			bad := bytes.Clone(signed[:n])
			if n >= 156 {
				binary.BigEndian.PutUint64(bad[16:], uint64(n-156))
			}
			for _, data := range [][]byte{signed[:n], bad} {
				if _, err := artifact.ParseSigned(data, publicOf(ours)); err == nil {
					t.Fatalf("cut to %d bytes it is good", n)
				}
			}
		}
	})
}

// A payload that nobody trusted made is not even looked at.
func TestUntrustedIsNotParsed(t *testing.T) {
	_, err := artifact.ParseSigned(frame([]byte("\xff\xff")), publicOf(testKey()))
	var untrusted *artifact.NotTrustedError
	if !errors.As(err, &untrusted) {
		t.Errorf("got %v", err)
	}
}

func TestOpenSigned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.mgw")
	if err := artifact.WriteSigned(path, sample(), testKey()); err != nil {
		t.Fatal(err)
	}
	f, err := artifact.OpenSigned(path, publicOf(keyOf(2), testKey()))
	if err != nil || f.Path != path {
		t.Errorf("got %v, %v", f, err)
	}
	if f, err := artifact.Open(path); err != nil || !f.Signer.Equal(testKey().Public()) {
		t.Errorf("Open: %v, %v", f, err)
	}
	want := path + ": the artifact is signed by key " + signing.ID(publicOf(testKey())[0]) + ", which is not trusted"
	if _, err := artifact.OpenSigned(path, publicOf(keyOf(2))); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := artifact.WriteSigned(filepath.Join(path, "x"), sample(), testKey()); err == nil {
		t.Error("written below a file")
	}
}

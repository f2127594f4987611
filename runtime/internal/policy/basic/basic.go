// Package basic lets a request in that carries a user's name and password
// (RFC 7617).
//
// What surprises:
//
//   - A user who does not exist costs as much as one who does, so that the time
//     taken names nobody: if somebody's password is hashed slowly, refusing any
//     takes as long. Only slow hashes of different costs can be told apart.
//   - Hashes that are slow by design (bcrypt, argon2id) are computed by few
//     requests at once, whose client addresses take turns, and a pair that was good
//     is remembered for a while (see Checks): a flood of guesses must not take the
//     processor from others, nor their place in the line. Who would have to wait too
//     long is told 503.
//   - An empty password is never good, and neither is one with control characters,
//     which RFC 7617 forbids: of NUL bytes some hashes and directories have odd
//     ideas.
//   - The credentials are never forwarded, whatever authConfig says: they open
//     more than one door, and an upstream has its own (WSO2 3.0.1 passed them on).
package basic

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"unicode/utf8"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// MaxCredentials bounds the decoded credentials: a name, a colon and a password.
const MaxCredentials = 4096

// A Users tells whether a password is a user's.
type Users interface {
	// Check returns who has that name and password, for a client at that address.
	// errors.Is(err, ErrRefused): they are nobody's. Any other error: that cannot
	// be found out now. The slices must not be kept.
	Check(from netip.Addr, name, password []byte) (*exchange.Principal, error)
}

// ErrRefused says that no user has that name and password.
var ErrRefused = errors.New("no user has that name and password")

const challenge = `Basic realm="micro-gw", charset="UTF-8"` // RFC 7617, section 2.1

// A Scheme is names and passwords that come in one header field. It is safe for
// concurrent use.
type Scheme struct {
	in                         *exchange.Credentials
	users                      Users
	missing, repeated, refused *fault.Fault
}

// New returns the users' credentials in the header of that name.
func New(header string, users Users) *Scheme {
	return &Scheme{
		in: exchange.CredentialsIn(header), users: users,
		missing:  fault.MissingCredentialsIn(header).Becausef("no credentials in %s", header).Challenging(challenge),
		repeated: fault.WrongPassword.Becausef("several %s header fields", header),
		refused:  fault.InvalidScheme.Becausef("%s does not use the scheme Basic", header).Challenging(challenge),
	}
}

// Prove returns whose name and password the request has.
func (s *Scheme) Prove(x *exchange.Exchange) (*exchange.Principal, error) {
	scheme, encoded, found := s.in.Read(&x.Request)
	switch {
	case found > 1:
		return nil, s.repeated
	case len(scheme) == 0:
		return nil, s.missing
	case !exchange.EqualFold(scheme, "basic"):
		return nil, s.refused
	}
	if len(encoded) > base64.StdEncoding.EncodedLen(MaxCredentials) {
		return nil, fault.WrongPassword.Becausef("credentials longer than %d bytes", MaxCredentials)
	}
	var memory [256]byte
	plain := memory[:]
	if n := base64.StdEncoding.DecodedLen(len(encoded)); n > len(plain) {
		plain = make([]byte, n)
	}
	n, err := base64.StdEncoding.Strict().Decode(plain, encoded)
	if err != nil || bytes.ContainsAny(encoded, "\r\n") { // which Go's decoder skips
		return nil, fault.MalformedPassword.Becausef("credentials are not base64: %v", err)
	}
	plain = plain[:n]
	defer clear(plain)
	// The first colon ends the name: it cannot contain one (RFC 7617, section 2).
	name, password, colon := bytes.Cut(plain, []byte(":"))
	if !colon {
		return nil, fault.MalformedPassword.Becausef("credentials without a colon")
	}
	switch {
	case !utf8.Valid(name) || bytes.ContainsFunc(name, control):
		return nil, fault.WrongPassword.Becausef("user name with control characters, or not UTF-8")
	case len(password) == 0:
		return nil, fault.WrongPassword.Becausef("empty password")
	case slices.ContainsFunc(password, func(b byte) bool { return control(rune(b)) }): // which need not be UTF-8
		return nil, fault.WrongPassword.Becausef("password with control characters")
	}
	p, err := s.users.Check(x.Client, name, password)
	switch {
	case errors.Is(err, ErrRefused):
		// A name that nobody has is not in the log: it may be a token, as many clients
		// are told to send one, or a password in the wrong place.
		return nil, fault.WrongPassword.Because(err)
	case err != nil:
		return nil, fault.UsersUnavailable.Because(err)
	}
	return p, nil
}

// control is what RFC 7617, section 2, has neither in names nor in passwords.
func control(r rune) bool { return r < 0x20 || r == 0x7f }

// Hide takes the credentials out of the forwarded request, if they are of this
// scheme. Of several fields all go: which of them counts is for nobody to guess.
func (s *Scheme) Hide(x *exchange.Exchange) {
	if s.in.Uses(&x.Request, "basic") {
		s.in.Delete(&x.Request)
	}
}

// Challenge is what WWW-Authenticate says of passwords.
func (s *Scheme) Challenge() string { return challenge }

// Package fault is the gateway's error catalogue and the only writer of error
// bodies.
//
// A client sees {"fault":{"code":N, "message":"...", "description":"..."}}. Code,
// message and description are stable API: clients of WSO2 API Microgateway 3.x
// compare them, including a blank after each comma, trailing blanks and a few
// misspellings, so the catalogue is not the place to improve prose. The cause
// is for the log only and never leaves the gateway.
package fault

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Origin says whose fault it was, for the log.
type Origin uint8

const (
	Client Origin = iota
	Gateway
	Upstream
)

func (o Origin) String() string { return [...]string{"client", "gateway", "upstream"}[o] }

// A Fault is an answer that the gateway makes itself. Values of the catalogue
// are shared: methods that change something return a copy.
type Fault struct {
	Status      int
	Code        int
	Message     string
	Description string
	Origin      Origin

	// Challenge is the value of WWW-Authenticate, "" for none (RFC 6750,
	// section 3).
	Challenge string
	// Allow is the value of Allow, for 405 (RFC 9110, section 15.5.6).
	Allow string
	// RetrySeconds is the value of Retry-After; 0 for none.
	RetrySeconds int64
	// Close says that the connection cannot be used after the answer.
	Close bool

	cause error
	body  []byte
}

// Error implements error: for the log, not for clients.
func (f *Fault) Error() string {
	if f.cause != nil {
		return fmt.Sprintf("%d %s: %v", f.Code, f.Message, f.cause)
	}
	return fmt.Sprintf("%d %s", f.Code, f.Message)
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.cause }

// Is reports whether target is the same entry of the catalogue.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Code == f.Code && t.Status == f.Status
}

// Body returns the JSON that the client is sent. The caller must not change
// it.
func (f *Fault) Body() []byte {
	if f.body != nil {
		return f.body
	}
	return render(f)
}

// Because returns f with a cause for the log.
func (f *Fault) Because(err error) *Fault {
	g := *f
	g.cause = err
	return &g
}

// Becausef is Because with a formatted cause.
func (f *Fault) Becausef(format string, args ...any) *Fault {
	return f.Because(fmt.Errorf(format, args...))
}

// RetryAfter returns f with a Retry-After of that many seconds.
func (f *Fault) RetryAfter(seconds int64) *Fault {
	g := *f
	g.RetrySeconds = seconds
	return &g
}

// Allowing returns f with an Allow header.
func (f *Fault) Allowing(methods string) *Fault {
	g := *f
	g.Allow = methods
	return &g
}

// Challenging returns f with a WWW-Authenticate header.
func (f *Fault) Challenging(challenge string) *Fault {
	g := *f
	g.Challenge = challenge
	return &g
}

// Describing returns f with another description.
func (f *Fault) Describing(description string) *Fault {
	g := *f
	g.Description = description
	g.body = render(&g)
	return &g
}

// render writes the body as WSO2 does: a blank after each comma between
// members, none elsewhere, the code a number.
func render(f *Fault) []byte {
	b := append([]byte(`{"fault":{"code":`), strconv.Itoa(f.Code)...)
	b = append(b, `, "message":`...)
	b = appendString(b, f.Message)
	b = append(b, `, "description":`...)
	b = appendString(b, f.Description)
	return append(b, `}}`...)
}

func appendString(b []byte, s string) []byte {
	q, _ := json.Marshal(s) // a string always marshals
	return append(b, q...)
}

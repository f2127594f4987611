package introspect

import (
	"context"
	"net/http"
	"net/netip"
)

// NewOver is New without a network.
func NewOver(t http.RoundTripper, s Server, o Options) (*Introspector, error) {
	in, err := New(s, o)
	if err != nil {
		return nil, err
	}
	client := newClient(t)
	in.ask = func(ctx context.Context, q question) (*answer, error) { return s.ask(ctx, client, q, http.Header{}) }
	return in, nil
}

// Read reports whether an answer lets somebody in.
func Read(data []byte) (bool, error) {
	a, err := (&Server{}).read(data)
	return err == nil && a.principal != nil, err
}

// ReadValidation reports whether a key manager's answer lets somebody in.
func ReadValidation(data []byte) (bool, error) {
	a, err := readValidation(data)
	return err == nil && a.principal != nil, err
}

// Waiting is how many questions of a client's network wait for their turn.
func (in *Introspector) Waiting(client netip.Addr) int {
	l := in.gate.line(client)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

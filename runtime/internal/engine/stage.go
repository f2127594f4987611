package engine

import "github.com/microgw/microgw/runtime/internal/exchange"

// A Stage is one step of a route. Either half may be nil. The response half
// runs if and only if the request half was passed, newest first, and it runs
// for the gateway's own error responses too: a browser hides a 401 from the
// page unless the CORS stage has marked it.
//
// A half that returns an error ends the descent (Request) or replaces the
// answer (Response). The error should be a *fault.Fault; any other is a bug of
// the gateway and becomes 500.
type Stage struct {
	Name     string // as in the artifact; labels the stage's metrics
	Request  func(*exchange.Exchange) error
	Response func(*exchange.Exchange) error
}

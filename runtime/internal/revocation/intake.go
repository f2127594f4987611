package revocation

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// Slack is how much longer than its token an entry lives: a token is accepted for
// as long after its expiry as clocks may differ.
const Slack = 15 * time.Minute

// An Intake puts what arrives into a Set. It is safe for concurrent use. It never
// logs an id, which may be a whole token.
type Intake struct {
	Set *Set
	// Retention is how long an id stays at least of which nobody says when its
	// token expires. A ttl alone does not say so: the articles' own messages have
	// one that WSO2's gateway does not read, and an id that is forgotten before its
	// token has expired lets it in again.
	Retention time.Duration
	Log       *slog.Logger

	bad     atomic.Int64 // messages not understood
	mu      sync.Mutex
	lastLog map[string]time.Time // guarded by mu
}

// Message takes in what a broker delivered.
func (k *Intake) Message(m message.Message) {
	k.Log.Debug("[TokenRevocationJMS] [-] token revoked jms Message Received")
	all, err := message.Decode(m)
	if err != nil {
		k.bad.Add(1)
		if errors.Is(err, message.ErrNothing) {
			k.Log.Debug("[TokenRevocationJMS] [-] No keys named revokedToken and ttl")
		}
		what := "[TokenRevocationJMS] [-] message on the topic of revoked tokens is not understood; it is passed over"
		if len(all) > 0 {
			what = "[TokenRevocationJMS] [-] message on the topic of revoked tokens is not understood in part; that part is passed over"
		}
		k.seldom("message", what, "error", err, "bytes", len(m.Body), "tokens", len(all), "total", k.bad.Load())
	}
	now := time.Now()
	for _, r := range all {
		var until time.Time
		switch {
		case !r.Expires.IsZero():
			until = r.Expires.Add(Slack)
			if t := now.Add(r.TTL); r.TTL > 0 && t.After(until) {
				until = t
			}
		default:
			until = now.Add(max(r.TTL, k.Retention))
			// A whole token says itself how long it has to be remembered at least.
			if t := expiry(unsigned(r.ID)).Add(Slack); t.After(until) {
				until = t
			}
		}
		if k.Revoke(r.ID, until, now) {
			k.Log.Debug("[TokenRevocationJMS] [-] Successfully added to revoked token map")
		}
	}
}

// Revoke revokes what an id names: a token's jti, its signature, or the token. It
// reports false if a token is good that should not be, for want of room.
func (k *Intake) Revoke(id string, until, now time.Time) bool {
	name := id
	if whole := unsigned(id); whole != "" {
		name = whole
	}
	if k.Set.Add([]byte(name), until, now) {
		return true
	}
	k.seldom("full", "no room for another revoked token: the one that ends first is forgotten and NOT refused any more; raise tokenRevocationConfig.capacity",
		"entries", k.Set.Len(), "lost", k.Set.Lost())
	return false
}

// seldom logs a warning of a kind at most once a minute.
func (k *Intake) seldom(kind, msg string, args ...any) {
	k.mu.Lock()
	now := time.Now()
	last, ok := k.lastLog[kind]
	if k.lastLog == nil {
		k.lastLog = map[string]time.Time{}
	}
	due := !ok || now.Sub(last) > time.Minute
	if due {
		k.lastLog[kind] = now
	}
	k.mu.Unlock()
	if due {
		k.Log.Warn(msg, args...)
	}
}

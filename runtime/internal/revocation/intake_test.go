package revocation_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// How long an id stays, by what its message says.
func TestIntakeEnds(t *testing.T) {
	now := time.Now()
	ms := func(d time.Duration) string { return fmt.Sprint(now.Add(d).UnixMilli()) }
	for _, tt := range []struct {
		properties map[string]any
		stays      time.Duration // surely
		gone       time.Duration // surely
	}{
		{map[string]any{}, 24 * time.Hour, 25 * time.Hour},
		// A ttl alone does not say when the token expires; it may be milliseconds.
		{map[string]any{"ttl": "10"}, 24 * time.Hour, 25 * time.Hour},
		{map[string]any{"ttl": "259200"}, 72 * time.Hour, 73 * time.Hour},
		{map[string]any{"expiryTime": ms(time.Hour)}, time.Hour, 2 * time.Hour},
		{map[string]any{"expiryTime": ms(time.Hour), "ttl": "10000"}, 10000 * time.Second, 3 * time.Hour},
		{map[string]any{"expiryTime": ms(time.Hour), "ttl": "10"}, time.Hour, 2 * time.Hour},
		{map[string]any{"expiryTime": ms(-time.Hour)}, -time.Second, 0},
		{map[string]any{"expiryTime": ms(-time.Minute)}, 13 * time.Minute, 15 * time.Minute}, // clocks differ
		{map[string]any{"expiryTime": fmt.Sprint(now.Add(time.Hour).Unix())}, time.Hour, 2 * time.Hour},
		{map[string]any{"expiryTime": "1e300"}, 100 * 365 * 24 * time.Hour, 1 << 62},
		{map[string]any{"ttl": "1e300"}, 99 * 365 * 24 * time.Hour, 1 << 62},
		{map[string]any{"expiryTime": "0", "ttl": "-1"}, 24 * time.Hour, 25 * time.Hour},
		{map[string]any{"expiryTime": "", "ttl": "NaN"}, 24 * time.Hour, 25 * time.Hour},
	} {
		k := &revocation.Intake{Set: revocation.NewSet(10, now), Retention: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)}
		tt.properties["revokedToken"] = "a"
		k.Message(message.Message{Properties: tt.properties})
		if tt.stays > 0 && !k.Set.Has([]byte("a"), now.Add(tt.stays-time.Second)) || k.Set.Has([]byte("a"), now.Add(tt.gone)) {
			t.Errorf("%v", tt.properties)
		}
	}
}

// tokenOf is a whole token, by what it says.
func tokenOf(header, payload string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(header)) + "." + b64([]byte(payload)) + ".c2ln"
}

// A whole token is known without its signature, with both its dots. What only
// looks like one is an id like any other, and revokes nothing else.
func TestIntakeWholeTokens(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		id   string
		also string // "": the id itself
		not  []string
	}{
		{id: "a.b.c", not: []string{"a.b", "a.b.", "a", "c", ".c", "b"}},
		{id: "urn.example.7", not: []string{"urn.example", "urn.example."}},
		{id: "..", not: []string{"."}},
		{id: "a.b.c.d.e", not: []string{"a.b.c.d", "a.b.c.d."}},
		{id: tokenOf(`{"typ":"JWT"}`, `{}`), not: []string{"e30", "c2ln"}},
		{id: tokenOf(`{"alg":"ES256"}`, `{}`), also: strings.TrimSuffix(tokenOf(`{"alg":"ES256"}`, `{}`), "c2ln"),
			not: []string{strings.TrimSuffix(tokenOf(`{"alg":"ES256"}`, `{}`), ".c2ln"), "e30", "c2ln"}},
	} {
		k := &revocation.Intake{Set: revocation.NewSet(10, now), Retention: time.Hour, Log: slog.New(slog.DiscardHandler)}
		k.Message(message.Message{Body: []byte(tt.id)})
		if tt.also == "" {
			tt.also = tt.id
		}
		if !k.Set.Has([]byte(tt.also), now) || k.Set.Len() != 1 {
			t.Errorf("%s: %d entries", tt.id, k.Set.Len())
		}
		for _, id := range tt.not {
			if k.Set.Has([]byte(id), now) {
				t.Errorf("%s revokes %s", tt.id, id)
			}
		}
	}
}

// A whole token stays for as long as it says that it lives, if nobody says more.
func TestIntakeWholeTokenEnds(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		exp         string
		stays, gone time.Duration
	}{
		{fmt.Sprint(now.Add(48 * time.Hour).Unix()), 48 * time.Hour, 49 * time.Hour},
		{fmt.Sprint(now.Add(time.Minute).Unix()), time.Hour, 2 * time.Hour},
		{`"soon"`, time.Hour, 2 * time.Hour},
		{"-1e300", time.Hour, 2 * time.Hour},
		{"1e300", 100 * 365 * 24 * time.Hour, 0},
	} {
		k := &revocation.Intake{Set: revocation.NewSet(10, now), Retention: time.Hour, Log: slog.New(slog.DiscardHandler)}
		id := tokenOf(`{"alg":"ES256"}`, `{"exp":`+tt.exp+`}`)
		k.Message(message.Message{Body: []byte(id)})
		name := []byte(strings.TrimSuffix(id, "c2ln"))
		if !k.Set.Has(name, now.Add(tt.stays-time.Second)) || tt.gone > 0 && k.Set.Has(name, now.Add(tt.gone)) {
			t.Errorf("%s", tt.exp)
		}
	}
}

// What does not fit is said, and never in words that hold it.
func TestIntakeBounds(t *testing.T) {
	var log bytes.Buffer
	now := time.Now()
	k := &revocation.Intake{Set: revocation.NewSet(2, now), Retention: time.Hour, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for i := range 5 {
		k.Message(message.Message{Body: fmt.Appendf(nil, "another-%d", i), Properties: map[string]any{"ttl": 3600 * (i + 2)}})
		k.Message(message.Message{Body: []byte{0xff}})
	}
	for i := range 5 {
		if got := k.Set.Has(fmt.Appendf(nil, "another-%d", i), now); got != (i >= 3) {
			t.Errorf("%d: %v", i, got)
		}
	}
	if k.Set.Lost() != 3 || strings.Count(log.String(), "no room for another revoked token") != 1 || strings.Count(log.String(), "is not understood") != 1 ||
		!strings.Contains(log.String(), `msg="[TokenRevocationJMS] [-] token revoked jms Message Received"`) ||
		!strings.Contains(log.String(), `msg="[TokenRevocationJMS] [-] Successfully added to revoked token map"`) ||
		strings.Contains(log.String(), "another-") {
		t.Errorf("%d\n%s", k.Set.Lost(), log.String())
	}
}

// Of a list the good ones are revoked, and the log says that there were others.
func TestIntakePart(t *testing.T) {
	var log bytes.Buffer
	now := time.Now()
	k := &revocation.Intake{Set: revocation.NewSet(10, now), Retention: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))}
	k.Message(message.Message{Body: []byte(`["a","\u0001","b"]`)})
	if !k.Set.Has([]byte("a"), now) || !k.Set.Has([]byte("b"), now) || k.Set.Len() != 2 ||
		!strings.Contains(log.String(), "is not understood in part") || !strings.Contains(log.String(), "tokens=2 total=1") {
		t.Errorf("%d\n%s", k.Set.Len(), log.String())
	}
}

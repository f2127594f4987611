package revocation_test

import (
	"bytes"
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
	} {
		k := &revocation.Intake{Set: revocation.NewSet(10, now), Retention: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)}
		tt.properties["revokedToken"] = "a"
		k.Message(message.Message{Properties: tt.properties})
		if tt.stays > 0 && !k.Set.Has([]byte("a"), now.Add(tt.stays-time.Second)) || k.Set.Has([]byte("a"), now.Add(tt.gone)) {
			t.Errorf("%v", tt.properties)
		}
	}
}

// A whole token is known without its signature; what does not fit is said, and
// never in words that hold it.
func TestIntakeWholeTokensAndBounds(t *testing.T) {
	var log bytes.Buffer
	now := time.Now()
	k := &revocation.Intake{Set: revocation.NewSet(2, now), Retention: time.Hour, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	k.Message(message.Message{Body: []byte("aaa.bbb.ccc")})
	for id, want := range map[string]bool{"aaa.bbb.ccc": true, "aaa.bbb": true, "aaa": false, "ccc": false} {
		if k.Set.Has([]byte(id), now) != want {
			t.Errorf("%s", id)
		}
	}
	for range 5 {
		k.Message(message.Message{Body: []byte("another")})
		k.Message(message.Message{Body: []byte{0xff}})
	}
	if k.Full() != 5 || strings.Count(log.String(), "no room for another revoked token") != 1 || strings.Count(log.String(), "is not understood") != 1 ||
		!strings.Contains(log.String(), `msg="[TokenRevocationJMS] [-] token revoked jms Message Received"`) ||
		!strings.Contains(log.String(), `msg="[TokenRevocationJMS] [-] Successfully added to revoked token map"`) ||
		strings.Contains(log.String(), "aaa") || strings.Contains(log.String(), "another\"") {
		t.Errorf("%d\n%s", k.Full(), log.String())
	}
}

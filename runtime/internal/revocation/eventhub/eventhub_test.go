package eventhub_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/eventhub"
)

func TestEventHub(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		answer string
		status int
		want   map[string]time.Duration
		err    string
	}{
		"both spellings": {fmt.Sprintf(`[{"jwt_signature":"a","expiry_time":%d},{"jwtSignature":"b","expiryTime":"%d"},{"jwt_signature":"c"},{}]`,
			now.Add(time.Hour).UnixMilli(), now.Add(2*time.Hour).UnixMilli()), 200,
			map[string]time.Duration{"a": time.Hour + 15*time.Minute, "b": 2*time.Hour + 15*time.Minute, "c": 24 * time.Hour}, ""},
		"none":      {"[]", 200, nil, ""},
		"cut short": {`[{"jwt_signature":"a","expiry_time":9000000000000},`, 200, map[string]time.Duration{"a": 0}, "EOF"},
		"no list":   {`{"error":1}`, 200, nil, "not a list"},
		"odd ones among them": {fmt.Sprintf(`[{"jwt_signature":7},7,null,"x",{"jwt_signature":"a","expiry_time":""},{"jwt_signature":"b","expiry_time":{}},{"jwt_signature":"c","expiry_time":%d}]`,
			now.Add(time.Hour).UnixMilli()), 200, map[string]time.Duration{"a": 24 * time.Hour, "b": 24 * time.Hour, "c": time.Hour + 15*time.Minute}, ""},
		"seconds": {fmt.Sprintf(`[{"jwt_signature":"a","expiry_time":%d},{"jwt_signature":"b","expiry_time":3600}]`, now.Add(time.Hour).Unix()), 200,
			map[string]time.Duration{"a": time.Hour + 15*time.Minute, "b": 24 * time.Hour}, ""},
		"not allowed":    {``, 401, nil, "answers 401"},
		"somewhere else": {``, 302, nil, "answers 302"},
	} {
		t.Run(name, func(t *testing.T) {
			hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if user, password, _ := r.BasicAuth(); user != "admin" || password != "pw" || r.URL.Path != "/internal/data/v1/revokedjwt" {
					t.Errorf("%s %s", r.URL, user)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.answer)
			}))
			defer hub.Close()
			got := map[string]time.Duration{}
			s := eventhub.New(eventhub.Options{
				URL: hub.URL + "/internal/data/v1/", Username: "admin", Password: "pw", Retention: 24 * time.Hour, Log: slog.New(slog.DiscardHandler),
				Revoke: func(id string, until, _ time.Time) bool { got[id] = until.Sub(now); return true },
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { s.Run(ctx); close(done) }()
			<-s.Tried()
			cancel()
			<-done
			st := s.State()
			if st.Connected != (tt.err == "") || !strings.Contains(st.Error, tt.err) || len(got) != len(tt.want) {
				t.Errorf("%+v, %v", st, got)
			}
			for id, d := range tt.want {
				if d > 0 && (got[id] < d-time.Minute || got[id] > d+time.Minute) {
					t.Errorf("%s: %v, want %v", id, got[id], d)
				}
			}
		})
	}
}

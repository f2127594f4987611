package realtest

import (
	"testing"
)

// Broker and etcd together: each works while the other one is dead, and what
// either has said stays.
func TestBoth(t *testing.T) {
	activeMQ.use(t)
	etcd.use(t)
	s := &store{t: t, url: "http://" + etcd.address("client")}
	s.put("both/secret-stored", 600)
	g := start(t, append(realtime("", "stomp://"+activeMQ.address("stomp")), persistent(s.url+"/both/")...)...)
	const connected, lost = `"connected": true`, `"connected": false`
	g.untilReady(connected + `[^$]*` + connected)
	refused := func(when string, all ...string) {
		t.Helper()
		for _, jti := range all {
			if code := g.status(token(t, jti)); code != 401 {
				t.Errorf("%s %s: %d", jti, when, code)
			}
		}
	}
	refused("at the start", "secret-stored")
	p := stompPublisher(t)
	revokes(t, "by the broker", "secret-told", func() { p.send("secret-told") }, g)
	revokes(t, "by etcd", "secret-watched", func() { s.put("both/secret-watched", 600) }, g)

	activeMQ.kill()
	g.untilReady(lost)
	revokes(t, "without the broker", "secret-no-broker", func() { s.put("both/secret-no-broker", 600) }, g)
	etcd.kill()
	g.untilReady(lost + `[^$]*` + lost)
	refused("without both", "secret-stored", "secret-told", "secret-watched", "secret-no-broker")

	activeMQ.restart(t)
	g.untilReady(connected)
	p = stompPublisher(t)
	revokes(t, "without etcd", "secret-no-etcd", func() { p.send("secret-no-etcd") }, g)
	etcd.restart(t)
	g.untilReady(connected + `[^$]*` + connected)
	revokes(t, "by etcd again", "secret-again", func() { s.put("both/secret-again", 600) }, g)
	refused("at the end", "secret-stored", "secret-told", "secret-watched", "secret-no-broker", "secret-no-etcd")
}

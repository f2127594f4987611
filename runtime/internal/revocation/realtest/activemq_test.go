package realtest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

const activeMQFactory = "org.apache.activemq.jndi.ActiveMQInitialContextFactory"

// realtime is the conf of the article.
func realtime(factory, url string) []string {
	const p = "tokenRevocationConfig.realtime."
	return []string{p + "enableRealtimeMessageRetrieval=true", p + "jmsConnectionTopic=tokenRevocation",
		p + "jmsConnectioninitialContextFactory=" + factory, p + "jmsConnectionProviderUrl=" + url,
		p + "jmsConnectionUsername=admin", p + "jmsConnectionPassword=admin"}
}

type publisher struct {
	t *testing.T
	c *stomp.Conn
}

func stompPublisher(t *testing.T) *publisher {
	t.Helper()
	c, err := stomp.Dial("tcp", activeMQ.address("stomp"), stomp.ConnOpt.Login("admin", "admin"), stomp.ConnOpt.HeartBeat(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.MustDisconnect() })
	return &publisher{t, c}
}

// send publishes; with a transformation the broker makes a map message of the
// body, else a text message.
func (p *publisher) send(body string, header ...string) {
	p.t.Helper()
	options := []func(*frame.Frame) error{stomp.SendOpt.NoContentLength, stomp.SendOpt.Receipt}
	for i := 0; i < len(header); i += 2 {
		options = append(options, stomp.SendOpt.Header(header[i], header[i+1]))
	}
	if err := p.c.Send("/topic/tokenRevocation", "text/plain", []byte(body), options...); err != nil {
		p.t.Fatal(err)
	}
}

func mapXML(jti string) string {
	return "<map><entry><string>revokedToken</string><string>" + jti + "</string></entry><entry><string>ttl</string><string>10000</string></entry></map>"
}

// The article's own conf, against a broker that speaks several protocols on its
// port; every form of message; duplicates and garbage between them.
func TestActiveMQ(t *testing.T) {
	activeMQ.use(t)
	set := realtime(activeMQFactory, "tcp://"+activeMQ.address("auto"))
	a, b := start(t, set...), start(t, set...)
	for _, g := range []*running{a, b} {
		g.untilLogged(`level=INFO msg="\[TokenRevocationJMS\] \[-\] subscriber service for token revocation is started" topic=tokenRevocation broker=` + activeMQ.address("auto") + ` dialect=STOMP tls=false`)
		g.untilReady(`"status": "ready"[^$]*"kind": "realtime"[^$]*"connected": true`)
	}
	p := stompPublisher(t)
	garbage := func() {
		p.send("<map><entry>")
		p.send("{")
		p.send("")
		p.send("x\x01y")
		p.send(mapXML(""), "transformation", "jms-map-xml")
	}
	for name, publish := range map[string]func(jti string){
		"map from XML": func(jti string) { p.send(mapXML(jti), "transformation", "jms-map-xml") },
		"map from JSON": func(jti string) {
			p.send(`{"map":{"entry":[{"string":["revokedToken","`+jti+`"]},{"string":"ttl","long":10000}]}}`, "transformation", "jms-map-json")
		},
		"properties": func(jti string) { p.send("", "revokedToken", jti, "ttl", "10000") },
		"text":       func(jti string) { p.send(jti) },
		"form":       func(jti string) { p.send("revokedToken=" + jti + "&ttl=10000") },
		"JSON": func(jti string) {
			p.send(`{"revokedToken":"` + jti + `","expiryTime":` + fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()) + `}`)
		},
		"twice":         func(jti string) { p.send(jti); p.send(jti) },
		"after garbage": func(jti string) { garbage(); p.send(jti) },
	} {
		revokes(t, name, "secret-"+name, func() { publish("secret-" + name) }, a, b)
	}
	whole := token(t, "secret-whole")
	p.send(whole)
	until(t, "a whole token is revoked", func() bool { return a.status(whole) == 401 })

	var took []time.Duration
	for i := range 40 {
		jti := fmt.Sprintf("secret-%d", i)
		took = append(took, revokes(t, jti, jti, func() { p.send(jti) }, a, b))
	}
	percentile99(t, took)
	a.untilLogged(`level=WARN msg="\[TokenRevocationJMS\] \[-\] message on the topic of revoked tokens is not understood`)
	a.untilReady(`"messages_total": [1-9][^$]*"last_message_age_seconds": [0-9]`)
}

// With TLS, and with an authority that the gateway does not know.
func TestActiveMQWithTLS(t *testing.T) {
	activeMQ.use(t)
	set := realtime("", "failover:(stomp+ssl://"+activeMQ.address("stomp+ssl")+")?randomize=false")
	g := start(t, append(set, trust(t)...)...)
	g.untilLogged(`subscriber service for token revocation is started".*dialect=STOMP tls=true`)
	p := stompPublisher(t)
	revokes(t, "over TLS", "secret-tls", func() { p.send("secret-tls") }, g)
	start(t, set...).untilReady(`"status": "ready"[^$]*revoked tokens are not learnt from[^$]*certificate signed by unknown authority`)
}

// A port of ActiveMQ's own protocol alone, and a password that is wrong: the
// gateway serves, and says what is the matter.
func TestActiveMQRefuses(t *testing.T) {
	activeMQ.use(t)
	g := start(t, realtime(activeMQFactory, "tcp://"+activeMQ.address("openwire"))...)
	if code := g.status(token(t, "x")); code != 200 {
		t.Errorf("%d without a broker", code)
	}
	g.untilLogged(`level=WARN msg="\[TokenRevocationJMS\] \[-\] no subscription .*STOMP on 127.0.0.1:\d+: .*of these dialects the broker must offer one: in ActiveMQ a transportConnector such as stomp://0.0.0.0:61613`)
	// What STOMP has escapes for elsewhere is no trouble in a password.
	const p = "tokenRevocationConfig.realtime."
	start(t, append(realtime("", "stomp://"+activeMQ.address("stomp")), p+"jmsConnectionUsername=odd", p+`jmsConnectionPassword=p:a\s s`)...).untilReady(`"connected": true`)
	wrong := append(realtime("", "stomp://"+activeMQ.address("stomp")), p+"jmsConnectionPassword=secret-wrong")
	start(t, wrong...).untilReady(`revoked tokens are not learnt from STOMP on [^$]*invalid`)
}

// The broker is killed and comes back: what is published then counts, and what
// was revoked before still is.
func TestActiveMQComesBack(t *testing.T) {
	activeMQ.use(t)
	g := start(t, realtime("", "stomp://"+activeMQ.address("stomp"))...)
	g.untilReady(`"connected": true`)
	p := stompPublisher(t)
	revokes(t, "before", "secret-before", func() { p.send("secret-before") }, g)
	activeMQ.kill()
	g.untilLogged(`level=WARN msg="\[TokenRevocationJMS\] \[-\] subscription for token revocation is lost"`)
	g.untilReady(`"status": "ready"[^$]*revoked tokens are not learnt from STOMP[^$]*"connected": false`)
	activeMQ.restart(t)
	g.untilLogged(`level=INFO msg="\[TokenRevocationJMS\] \[-\] subscription for token revocation is restored`)
	if code := g.status(token(t, "secret-before")); code != 401 {
		t.Errorf("what was revoked before: %d", code)
	}
	p = stompPublisher(t)
	revokes(t, "after", "secret-after", func() { p.send("secret-after") }, g)
}

// durable is the name of a subscription that the broker keeps.
func durable(name string) string { return "tokenRevocationConfig.realtime.durableSubscription=" + name }

// What is published while a gateway with a durable subscription is away, it knows
// when it is back.
func TestActiveMQKeeps(t *testing.T) {
	activeMQ.use(t)
	set := realtime("", "stomp://"+activeMQ.address("stomp"))
	kept := append(set, durable("gw-1"))
	g := start(t, kept...)
	g.untilReady(`"connected": true`)
	p := stompPublisher(t)
	revokes(t, "at first", "secret-first", func() { p.send("secret-first", "persistent", "true") }, g)
	g.stop()
	p.send("secret-away", "persistent", "true")
	p.send("secret-away", "persistent", "true")
	g = start(t, kept...)
	until(t, "what was published meanwhile", func() bool { return g.status(token(t, "secret-away")) == 401 })
	g.stop()
	// What has been dealt with does not come again; and an object of Java's, at which
	// the broker hangs up, is not in the way for ever. Maps before and after it come in
	// full.
	p.send(mapXML("secret-map-before"), "transformation", "jms-map-xml", "persistent", "true")
	p.send("<map><entry><string>a</string><string>b</string></entry></map>", "transformation", "jms-object-xml", "persistent", "true")
	p.send(mapXML("secret-map-after"), "transformation", "jms-map-xml", "persistent", "true")
	p.send("secret-last", "persistent", "true")
	g = start(t, kept...)
	for _, jti := range []string{"secret-last", "secret-map-before", "secret-map-after"} {
		until(t, jti, func() bool { return g.status(token(t, jti)) == 401 })
	}
	g.untilLogged(`level=WARN msg="\[TokenRevocationJMS\] \[-\] the broker hung up at a message again and again, which was taken without its content`)
	if code := g.status(token(t, "secret-first")); code != 200 {
		t.Errorf("it came again: %d", code)
	}
}

// Two gateways with durable subscriptions, a publisher that does not stop, and a
// broker that is killed meanwhile: what the broker has taken is revoked.
func TestActiveMQKilledUnderLoad(t *testing.T) {
	activeMQ.use(t)
	var all []*running
	for _, name := range []string{"gw-load-1", "gw-load-2"} {
		g := start(t, append(realtime("", "stomp://"+activeMQ.address("stomp")), durable(name))...)
		g.untilReady(`"connected": true`)
		all = append(all, g)
	}
	var taken atomic.Int64
	stop, published := make(chan struct{}), make(chan []string)
	go func() {
		var ids []string
		var c *stomp.Conn
		for i := 0; ; i++ {
			select {
			case <-stop:
				published <- ids
				return
			default:
			}
			if c == nil {
				var err error
				if c, err = stomp.Dial("tcp", activeMQ.address("stomp"), stomp.ConnOpt.Login("admin", "admin"), stomp.ConnOpt.HeartBeat(0, 0)); err != nil {
					c = nil
					time.Sleep(10 * time.Millisecond)
					continue
				}
			}
			id := fmt.Sprintf("secret-load-%d", i)
			if err := c.Send("/topic/tokenRevocation", "text/plain", []byte(id), stomp.SendOpt.NoContentLength, stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")); err != nil {
				_ = c.MustDisconnect()
				c = nil
				continue
			}
			ids = append(ids, id)
			taken.Add(1)
		}
	}()
	more := func() {
		enough := taken.Load() + 50
		until(t, "messages that the broker has taken", func() bool { return taken.Load() > enough })
	}
	more()
	activeMQ.kill()
	activeMQ.restart(t)
	more()
	close(stop)
	ids := <-published
	for _, g := range all {
		for _, id := range ids {
			bearer := token(t, id)
			until(t, id, func() bool { return g.status(bearer) == 401 })
		}
	}
}

package realtest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// wso2URL is the provider URL as WSO2 ships it. RabbitMQ has no virtual host
// called carbon, and stands in for WSO2's broker all the same.
func wso2URL(address string) string {
	return "amqp://admin:admin@carbon/carbon?brokerlist='tcp://" + address + "'"
}

// amqpMap is a map message as a Java client writes it.
func amqpMap(jti string) []byte {
	b, err := hex.DecodeString("00000003" + "0b" + hex.EncodeToString([]byte("isThrottled")) + "0801" +
		"0c" + hex.EncodeToString([]byte("revokedToken")) + "95" + fmt.Sprintf("%04x", len(jti)) + hex.EncodeToString([]byte(jti)) +
		"03" + hex.EncodeToString([]byte("ttl")) + "310000000000002710")
	if err != nil {
		panic(err)
	}
	return append([]byte{0, 0, byte(len(b) >> 8), byte(len(b))}, b...)
}

func rabbitChannel(t *testing.T) *amqp091.Channel {
	t.Helper()
	c, err := amqp091.Dial("amqp://admin:admin@" + rabbitMQ.address("amqp") + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func publish(t *testing.T, ch *amqp091.Channel, m amqp091.Publishing) {
	t.Helper()
	if err := ch.PublishWithContext(context.Background(), "amq.topic", "tokenRevocation", false, false, m); err != nil {
		t.Fatal(err)
	}
}

// WSO2's own conf over AMQP 0-9-1, beside a gateway that speaks AMQP 1.0 to the
// same broker.
func TestRabbitMQ(t *testing.T) {
	rabbitMQ.use(t)
	old := start(t, realtime("bmbInitialContextFactory", wso2URL(rabbitMQ.address("amqp")))...)
	recent := start(t, realtime("org.apache.qpid.jms.jndi.JmsInitialContextFactory", "amqp://"+rabbitMQ.address("amqp"))...)
	old.untilLogged(`subscriber service for token revocation is started".*dialect="AMQP 0-9-1" tls=false`)
	recent.untilLogged(`subscriber service for token revocation is started".*dialect="AMQP 1.0" tls=false`)
	ch := rabbitChannel(t)
	text := func(jti string) amqp091.Publishing {
		return amqp091.Publishing{ContentType: "text/plain", Body: []byte(jti)}
	}
	for name, m := range map[string]amqp091.Publishing{
		"map":  {ContentType: "amqp/map", Body: amqpMap("secret-map")},
		"text": text("secret-text"),
		"form": {ContentType: "text/plain", Body: []byte("ttl=10000&revokedToken=secret-form")},
		"JSON": {ContentType: "application/json", Body: []byte(`{"revokedToken":"secret-JSON","ttl":10000,"type":"JWT"}`)},
	} {
		publish(t, ch, amqp091.Publishing{Body: []byte{0xff, 0, 1}})
		revokes(t, name, "secret-"+name, func() { publish(t, ch, m) }, old, recent)
	}
	// AMQP 1.0 gets no headers of 0-9-1 from this broker.
	revokes(t, "headers", "secret-headers", func() {
		publish(t, ch, amqp091.Publishing{ContentType: "text/plain", Headers: amqp091.Table{"JMS_QPID_DESTTYPE": int32(2), "revokedToken": "secret-headers", "ttl": "10000"}, Timestamp: time.UnixMilli(1)})
	}, old)

	// What is too large is passed over, and ends no subscription.
	publish(t, ch, amqp091.Publishing{ContentType: "text/plain", Body: bytes.Repeat([]byte("x"), 3<<20)})
	revokes(t, "after a large one", "secret-after", func() { publish(t, ch, text("secret-after")) }, old, recent)
	for _, g := range []*running{old, recent} {
		g.untilLogged(`is not understood; it is passed over`)
		if strings.Contains(g.log.String(), "is lost") {
			t.Error("the subscription was lost")
		}
	}

	// A publisher that speaks AMQP 1.0.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := amqp.Dial(ctx, "amqp://"+rabbitMQ.address("amqp"), &amqp.ConnOptions{SASLType: amqp.SASLTypePlain("admin", "admin")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	session, err := c.NewSession(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := session.NewSender(ctx, "/topic/tokenRevocation", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*amqp.Message{
		"data of 1.0":       amqp.NewMessage([]byte("secret-data of 1.0")),
		"value of 1.0":      {Value: "secret-value of 1.0"},
		"properties of 1.0": {ApplicationProperties: map[string]any{"revokedToken": "secret-properties of 1.0", "ttl": int64(10)}, Data: [][]byte{{}}},
		"map of 1.0":        {Value: map[string]any{"revokedToken": "secret-map of 1.0", "ttl": int64(10)}},
	} {
		revokes(t, name, "secret-"+name, func() {
			if err := sender.Send(ctx, m, nil); err != nil {
				t.Fatal(err)
			}
		}, recent)
	}
	var took []time.Duration
	for i := range 40 {
		jti := fmt.Sprintf("secret-%d", i)
		took = append(took, revokes(t, jti, jti, func() { publish(t, ch, text(jti)) }, old, recent))
	}
	percentile99(t, took)
}

func TestRabbitMQWithTLS(t *testing.T) {
	rabbitMQ.use(t)
	var all []*running
	for _, scheme := range []string{"amqp091s", "amqp10s"} {
		all = append(all, start(t, append(realtime("", scheme+"://"+rabbitMQ.address("amqps")), trust(t)...)...))
	}
	for _, g := range all {
		g.untilLogged(`subscriber service for token revocation is started".* tls=true`)
	}
	ch := rabbitChannel(t)
	revokes(t, "over TLS", "secret-tls", func() { publish(t, ch, amqp091.Publishing{Body: []byte("secret-tls")}) }, all...)
}

// A wrong password is said to be one, in both dialects.
func TestRabbitMQRefuses(t *testing.T) {
	rabbitMQ.use(t)
	wrong := append(realtime("", "amqp://"+rabbitMQ.address("amqp")), "tokenRevocationConfig.realtime.jmsConnectionPassword=secret-wrong")
	start(t, wrong...).untilReady(`AMQP 0-9-1 on [^;]*(ACCESS_REFUSED|403)[^;]*; AMQP 1.0 on `)
}

// What is published while a gateway with a durable subscription is away, it knows
// when it is back. RabbitMQ keeps nothing in AMQP 1.0, so the other is taken, or
// it is said.
func TestRabbitMQKeeps(t *testing.T) {
	rabbitMQ.use(t)
	url := "://" + rabbitMQ.address("amqp")
	kept := [][]string{
		append(realtime("bmbInitialContextFactory", wso2URL(rabbitMQ.address("amqp"))), durable("gw-1")),
		append(realtime("org.apache.qpid.jms.jndi.JmsInitialContextFactory", "amqp"+url), durable("gw-2")),
	}
	start(t, append(realtime("", "amqp10"+url), durable("gw-3"))...).untilReady(`AMQP 1.0 on [^;]*keeps nothing for who is away in AMQP 1.0: use AMQP 0-9-1`)
	ch := rabbitChannel(t)
	persistent := func(jti string) amqp091.Publishing {
		return amqp091.Publishing{ContentType: "text/plain", Body: []byte(jti), DeliveryMode: amqp091.Persistent}
	}
	for _, set := range kept {
		g := start(t, set...)
		g.untilLogged(`subscriber service for token revocation is started".*dialect="AMQP 0-9-1"`)
		revokes(t, "at first", "secret-first", func() { publish(t, ch, persistent("secret-first")) }, g)
		g.stop()
	}
	publish(t, ch, persistent("secret-away"))
	publish(t, ch, persistent("secret-away"))
	for _, set := range kept {
		g := start(t, set...)
		until(t, "what was published meanwhile", func() bool { return g.status(token(t, "secret-away")) == 401 })
		g.stop()
		g = start(t, set...) // what has been dealt with does not come again
		start(t, set...).untilReady(`"connected": false[^$]*exclusive`)
		publish(t, ch, persistent("secret-last"))
		until(t, "the last one", func() bool { return g.status(token(t, "secret-last")) == 401 })
		if code := g.status(token(t, "secret-away")); code != 200 {
			t.Errorf("%s: it came again: %d", set[3], code)
		}
	}
}

// The broker is killed and comes back: what is published then counts, and what
// was revoked before still is, over both dialects.
func TestRabbitMQComesBack(t *testing.T) {
	rabbitMQ.use(t)
	var all []*running
	for _, scheme := range []string{"amqp091", "amqp10"} {
		g := start(t, realtime("", scheme+"://"+rabbitMQ.address("amqp"))...)
		g.untilReady(`"connected": true`)
		all = append(all, g)
	}
	ch := rabbitChannel(t)
	revokes(t, "before", "secret-before", func() { publish(t, ch, amqp091.Publishing{Body: []byte("secret-before")}) }, all...)
	rabbitMQ.kill()
	for _, g := range all {
		g.untilLogged(`level=WARN msg="\[TokenRevocationJMS\] \[-\] subscription for token revocation is lost"`)
		g.untilReady(`"status": "ready"[^$]*revoked tokens are not learnt from AMQP[^$]*"connected": false`)
	}
	rabbitMQ.restart(t)
	for _, g := range all {
		g.untilLogged(`level=INFO msg="\[TokenRevocationJMS\] \[-\] subscription for token revocation is restored`)
		if code := g.status(token(t, "secret-before")); code != 401 {
			t.Errorf("what was revoked before: %d", code)
		}
	}
	ch = rabbitChannel(t)
	revokes(t, "after", "secret-after-it", func() { publish(t, ch, amqp091.Publishing{Body: []byte("secret-after-it")}) }, all...)
}

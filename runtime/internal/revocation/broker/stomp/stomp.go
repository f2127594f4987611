// Package stomp speaks STOMP 1.0 to 1.2 to brokers such as ActiveMQ and RabbitMQ
// with its plugin, as far as a subscriber must. Artemis it leaves to AMQP 1.0.
//
// What surprises: map messages are asked for as XML (jms-map-xml), which keeps
// every value as it was; without it ActiveMQ delivers them empty. What arrives is
// read by what it is all the same, for with several subscribers that ask for
// different forms the broker may deliver another's. And there is no library behind
// it: the one there is bounds neither a frame nor a line, takes no receipt for a
// subscription, and escapes passwords in CONNECT, which STOMP does not.
package stomp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

const (
	// silence is how many of the broker's intervals may pass without a word.
	silence = 2
	// slack is for a broker, or a gateway, that is busy.
	slack        = broker.Heartbeat / 4
	writeTimeout = 10 * time.Second
)

// Dial implements broker.Dial.
func Dial(ctx context.Context, t broker.Target) (broker.Subscription, error) {
	if strings.ContainsAny(t.Username+t.Password, "\r\n\x00") {
		return nil, errors.New("the user or the password has a line break in it")
	}
	nc, err := broker.Connect(ctx, t)
	if err != nil {
		return nil, err
	}
	// Whatever is waited for below ends with ctx.
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	s := &subscription{conn: nc, durable: t.Durable, plain: t.Plain, quit: make(chan struct{})}
	s.in = reader{in: bufio.NewReaderSize(readFunc(s.read), 16<<10)}
	err = s.open(t)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.Close()
		if ctx.Err() != nil {
			err = errors.New("no answer in STOMP")
		}
		return nil, err
	}
	return s, nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type subscription struct {
	conn    net.Conn
	in      reader
	version string
	durable string
	plain   bool
	patient time.Duration // with the broker's silence; 0: for ever
	early   []frame       // messages that came before the receipt
	last    frame         // the message that is being dealt with
	quit    chan struct{}
	once    sync.Once
	beating sync.WaitGroup
	writing sync.Mutex
}

// read is the connection's, with a time limit from one read to the next.
func (s *subscription) read(p []byte) (int, error) {
	if s.patient > 0 {
		_ = s.conn.SetReadDeadline(time.Now().Add(s.patient))
	}
	n, err := s.conn.Read(p)
	if e := (net.Error)(nil); errors.As(err, &e) && e.Timeout() {
		err = fmt.Errorf("the broker has been silent for %v", s.patient)
	}
	return n, err
}

func (s *subscription) write(b []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := s.conn.Write(b)
	return err
}

// send writes a frame without a body. A name of ours needs no escapes; what does
// is escaped by the caller.
func (s *subscription) send(command string, header ...string) error {
	var b strings.Builder
	b.WriteString(command + "\n")
	for i := 0; i < len(header); i += 2 {
		b.WriteString(header[i] + ":" + header[i+1] + "\n")
	}
	b.WriteString("\n\x00")
	return s.write([]byte(b.String()))
}

// open connects and subscribes.
func (s *subscription) open(t broker.Target) error {
	beat := strconv.FormatInt(broker.Heartbeat.Milliseconds(), 10)
	// CONNECT has no escapes (STOMP 1.2, section Value Encoding).
	connect := []string{"accept-version", "1.0,1.1,1.2", "host", t.Host, "heart-beat", beat + "," + beat}
	if t.Username != "" {
		connect = append(connect, "login", t.Username, "passcode", t.Password)
	}
	if t.Durable != "" {
		connect = append(connect, "client-id", t.Durable)
	}
	if err := s.send("CONNECT", connect...); err != nil {
		return err
	}
	f, err := s.in.frame("")
	if err != nil {
		return err
	}
	if f.command != "CONNECTED" {
		return f.failure()
	}
	if strings.Contains(strings.ToLower(f.get("server")), "artemis") {
		return errArtemis
	}
	s.version = f.get("version")
	s.beat(f.get("heart-beat"))

	destination := "/topic/" + t.Topic
	subscribe := []string{"id", "0", "destination", destination, "ack", "auto", "receipt", "subscribed"}
	// Of an object of a class that it does not trust ActiveMQ can make no XML: it
	// hangs up, and, if the subscription is durable, does so again and again.
	if !t.Plain {
		subscribe = append(subscribe, "transformation", "jms-map-xml")
	}
	if t.Durable != "" {
		// ActiveMQ and RabbitMQ have words of their own each; the others' mean nothing
		// to them.
		subscribe[1], subscribe[5] = t.Durable, "client"
		subscribe = append(subscribe, "activemq.subscriptionName", t.Durable, "durable-subscription-name", t.Durable, "durable", "true", "auto-delete", "false")
		if t.Careful || t.Plain {
			subscribe = append(subscribe, "activemq.prefetchSize", "1")
		}
	}
	if err := s.send("SUBSCRIBE", subscribe...); err != nil {
		return err
	}
	for {
		f, err := s.in.frame(s.version)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", destination, err)
		}
		switch {
		case f.command == "RECEIPT" && f.get("receipt-id") == "subscribed":
			return nil
		case f.command == "MESSAGE":
			if s.early = append(s.early, f); len(s.early) > 1000 {
				return fmt.Errorf("subscribe to %s: messages and no receipt", destination)
			}
		case f.command == "ERROR":
			return fmt.Errorf("subscribe to %s: %w", destination, f.failure())
		}
	}
}

// beat sees to it that each side hears of the other, as the broker has answered
// (STOMP 1.2, section Heart-beating). What it leaves out it does not do.
func (s *subscription) beat(answer string) {
	theirs, ours, _ := strings.Cut(answer, ",")
	interval := func(text string) time.Duration {
		ms, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || ms <= 0 || ms > time.Hour.Milliseconds() {
			return 0
		}
		return max(time.Duration(ms)*time.Millisecond, broker.Heartbeat)
	}
	if d := interval(theirs); d > 0 {
		s.patient = silence*d + slack
	}
	d := interval(ours)
	if d == 0 {
		return
	}
	s.beating.Go(func() {
		t := time.NewTicker(d / 2) // twice as often as is promised
		defer t.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-t.C:
				if s.write([]byte("\n")) != nil {
					_ = s.conn.Close()
					return
				}
			}
		}
	})
}

func (s *subscription) Receive(ctx context.Context) (message.Message, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	m, err := s.receive()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return m, err
}

func (s *subscription) receive() (message.Message, error) {
	done := s.plain && s.last.command != ""
	if err := s.acknowledge(); err != nil {
		return message.Message{}, err
	}
	for {
		var f frame
		if len(s.early) > 0 {
			f, s.early = s.early[0], s.early[1:]
		} else {
			var err error
			if f, err = s.in.frame(s.version); err != nil {
				return message.Message{}, err
			}
		}
		switch f.command {
		case "ERROR":
			return message.Message{}, f.failure()
		case "RECEIPT":
			if done {
				return message.Message{}, errPlain
			}
		case "MESSAGE":
			if done {
				continue // it comes again
			}
			s.last = f
			properties := make(map[string]any, len(f.header))
			for _, h := range f.header {
				if _, ok := properties[h[0]]; !ok { // the first one counts (STOMP 1.2)
					properties[h[0]] = h[1]
				}
			}
			return message.Message{ContentType: f.get("content-type"), Properties: properties, Body: f.body}, nil
		}
	}
}

// acknowledge tells the broker that it need not keep the last message any more.
func (s *subscription) acknowledge() error {
	f := s.last
	if s.last = (frame{}); s.durable == "" || f.command == "" {
		return nil
	}
	receipt := []string(nil)
	if s.plain {
		receipt = []string{"receipt", "taken"}
	}
	escape := escapes[s.version]
	if s.version == "1.2" {
		return s.send("ACK", append([]string{"id", escape.Replace(f.get("ack"))}, receipt...)...)
	}
	id := f.get("message-id")
	if escape != nil {
		id = escape.Replace(id)
	}
	return s.send("ACK", append([]string{"message-id", id, "subscription", s.durable}, receipt...)...)
}

// errArtemis keeps from a subscription to which nothing would ever come: what
// Artemis takes /topic/NAME for in STOMP, its acceptor's multicastPrefix says, and
// by default it is the whole of it. And it gives map messages no form in STOMP.
var errArtemis = errors.New("this is Artemis, whose topics are heard over AMQP 1.0: use amqp10://, or tcp:// for both")

var errPlain = errors.New("the message in the way has been taken")

// Close hangs up.
func (s *subscription) Close() {
	s.once.Do(func() { close(s.quit) })
	_ = s.conn.Close()
	s.beating.Wait()
}

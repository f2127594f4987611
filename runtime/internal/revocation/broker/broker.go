// Package broker listens to a topic of a message broker for revoked tokens.
//
// WSO2's conf names a JNDI factory and a provider URL, which are for a Java
// library that speaks the broker's own protocol. There is none for Go that speaks
// ActiveMQ's (OpenWire), but brokers speak others beside their own. So what
// surprises: the factory and the URL only say where the broker is and of which
// kind, and decide which dialects are tried there, on the port in the URL and on
// those that the dialect has by convention, in an order that Parse states. The
// log says which was taken.
//
// A topic keeps nothing for those who are away: what is published while the
// connection is down is lost, as in WSO2, unless the subscription is durable or
// the id is in etcd, too.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
	"github.com/microgw/microgw/runtime/internal/revocation/source"
)

// Limits of waiting.
const (
	dialTimeout = 10 * time.Second // of one target, handshake included
	// Heartbeat is how often both sides say that they are there; who has not for
	// twice as long is taken for gone.
	Heartbeat = 10 * time.Second
	// A durable subscription that ends as soon as this without a message, so many
	// times one after the other, may have come upon one that the broker cannot
	// deliver.
	soon, tooOften = 10 * time.Second, 3
	// plainWait is how long it is waited for that message in a plain form. It comes
	// at once if it is what was in the way; what is published later is to come in
	// full.
	plainWait = 5 * time.Second
)

// A Dial subscribes to a target's topic. A subscription is live when Dial
// returns: what is published from then on is received.
type Dial func(ctx context.Context, t Target) (Subscription, error)

// A Subscription is messages, one after the other.
type Subscription interface {
	// Receive waits for the next one. After an error there is none. Calling it
	// says that the message before has been dealt with.
	Receive(ctx context.Context) (message.Message, error)
	Close()
}

// Options for New. Zero values stand for none, or for the defaults.
type Options struct {
	Factory            string // JNDI's initial context factory, a Java class
	URL                string // the provider's
	Username, Password string // if the URL has none, or others
	Topic              string
	// Durable is a name under which the broker keeps what is published while this
	// gateway is away; "" for none.
	Durable string
	TLS     *tls.Config // whom to trust
	Dials   map[Dialect]Dial
	Handle  func(message.Message)
	Log     *slog.Logger
}

// A Subscriber keeps up a subscription. Make one with New, then Run it.
type Subscriber struct {
	*source.Status // of which Source is "STOMP on broker:61613", or the addresses that are tried
	o              Options
	targets        []Target
	log            *slog.Logger
}

// New reads the options; it connects to nobody.
func New(o Options) (*Subscriber, error) {
	targets, err := Parse(o.Factory, o.URL, o.Username, o.Password)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var kept []Target
	var places []string
	for _, t := range targets {
		if o.Dials[t.Dialect] != nil {
			t.Topic, t.Durable, t.tls = o.Topic, o.Durable, o.TLS
			kept = append(kept, t)
			places = append(places, t.String())
		}
	}
	if len(kept) == 0 {
		return nil, errors.New("none of the broker's dialects is known")
	}
	return &Subscriber{Status: source.New(strings.Join(places, ", ")), o: o, targets: kept, log: o.Log}, nil
}

// Targets are what is tried, in order.
func (s *Subscriber) Targets() []Target { return s.targets }

// Run subscribes, again and again, until ctx is done.
func (s *Subscriber) Run(ctx context.Context) {
	var complaint source.Complaint
	var retry source.Backoff
	first := true
	last := 0        // the target that worked last; it is tried first
	careful := false // the last subscription ended soon, and is durable
	ended := 0       // so many have, and brought no message
	for ctx.Err() == nil {
		retry.Begin()
		sub, i, err := s.connect(ctx, last, careful, ended >= tooOften)
		if ctx.Err() != nil {
			if err == nil {
				sub.Close()
			}
			return
		}
		if err != nil {
			s.Down(err)
			s.SetTried()
			if complaint.Due(err) {
				s.log.Warn("[TokenRevocationJMS] [-] no subscription for token revocation; it is tried again and again", "topic", s.o.Topic, "error", err)
			}
			patience := source.LastRetry
			if errors.As(err, new(*awayError)) {
				patience = source.LastAway
			}
			if !retry.Pause(ctx, patience) {
				return
			}
			continue
		}
		last = i
		complaint.Settle()
		t := s.targets[i]
		switch {
		case first:
			s.log.Info("[TokenRevocationJMS] [-] subscriber service for token revocation is started", "topic", t.Topic, "broker", t.Address(), "dialect", t.Dialect, "tls", t.TLS)
			first = false
		case t.Durable != "":
			s.log.Info("[TokenRevocationJMS] [-] subscription for token revocation is restored; the broker has kept what was published meanwhile", "topic", t.Topic, "broker", t.Address(), "dialect", t.Dialect)
		default:
			s.log.Info("[TokenRevocationJMS] [-] subscription for token revocation is restored; what was published meanwhile was not received", "topic", t.Topic, "broker", t.Address(), "dialect", t.Dialect)
		}
		s.Update(func(st *source.State) { st.Source = t.String() })
		s.Up()
		s.SetTried()
		began := time.Now()
		plain := inPlain(t, ended >= tooOften)
		n, err := s.receive(ctx, sub, plain)
		sub.Close()
		careful = t.Durable != "" && time.Since(began) <= soon
		if ended++; !careful || plain || n > 0 {
			ended = 0
		}
		if ctx.Err() != nil {
			return
		}
		err = errors.New(t.hide(err.Error()))
		s.Down(err)
		s.log.Warn("[TokenRevocationJMS] [-] subscription for token revocation is lost", "topic", t.Topic, "broker", t.Address(), "dialect", t.Dialect, "error", err)
		// A broker that accepts and hangs up at once is not called in too much of a
		// hurry; but there is something to be missed.
		if !retry.Pause(ctx, source.LastAway) {
			return
		}
	}
}

// receive hands on what comes, and returns how many messages that were.
func (s *Subscriber) receive(ctx context.Context, sub Subscription, plain bool) (n int, err error) {
	if plain {
		patient, cancel := context.WithTimeout(ctx, plainWait)
		defer cancel()
		ctx = patient
	}
	for ; ; n++ {
		m, err := sub.Receive(ctx)
		if err != nil {
			if plain && n == 0 && errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("it was looked for a message in the way, and there is none: %w", err)
			}
			return n, err
		}
		s.Heard()
		if plain {
			if _, err := message.Decode(m); errors.Is(err, message.ErrNothing) {
				id, _ := m.Properties["message-id"].(string)
				s.log.Warn("[TokenRevocationJMS] [-] the broker hung up at a message again and again, which was taken without its content, so that others come: if it revoked a token, that is NOT revoked", "topic", s.o.Topic, "message", id)
			}
		}
		s.o.Handle(m)
	}
}

// inPlain reports whether a target is asked for messages in plain form: only STOMP
// has another.
func inPlain(t Target, inTheWay bool) bool { return inTheWay && t.Dialect == STOMP && t.Durable != "" }

// awayError says that nobody is there, at none of the addresses.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

// connect tries the targets, the preferred one first. The error tells of all.
func (s *Subscriber) connect(ctx context.Context, preferred int, careful, inTheWay bool) (Subscription, int, error) {
	order := []int{preferred}
	for i := range s.targets {
		if i != preferred {
			order = append(order, i)
		}
	}
	var failed []string
	away := true
	for _, i := range order {
		t := s.targets[i]
		t.Careful, t.Plain = careful, inPlain(t, inTheWay)
		one, cancel := context.WithTimeout(ctx, dialTimeout)
		sub, err := s.o.Dials[t.Dialect](one, t)
		cancel()
		if err == nil {
			return sub, i, nil
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		failed = append(failed, fmt.Sprintf("%s: %s", t, t.hide(err.Error())))
		away = away && source.Away(err)
	}
	text := strings.Join(failed, "; ")
	if hint := s.hint(); hint != "" {
		text += "; " + hint
	}
	if away {
		return nil, 0, &awayError{errors.New(text)}
	}
	return nil, 0, errors.New(text)
}

// hint says what to switch on in the broker.
func (s *Subscriber) hint() string {
	for _, t := range s.targets {
		if t.Dialect == STOMP {
			if t.TLS {
				return "of these dialects the broker must offer one: in ActiveMQ a transportConnector such as stomp+ssl://0.0.0.0:61612 or amqp+ssl://0.0.0.0:5671, in RabbitMQ TLS on 5671"
			}
			return "of these dialects the broker must offer one: in ActiveMQ a transportConnector such as stomp://0.0.0.0:61613 or amqp://0.0.0.0:5672, in RabbitMQ port 5672 or the plugin rabbitmq_stomp"
		}
	}
	return "of these dialects the broker must offer one: AMQP 0-9-1 as WSO2's broker and RabbitMQ, or AMQP 1.0 as RabbitMQ with the plugin rabbitmq_amqp1_0"
}

// Connect opens a connection to the target, with TLS if it is to have it.
func Connect(ctx context.Context, t Target) (net.Conn, error) {
	if t.Dial != nil {
		return t.Dial(ctx)
	}
	// A connection that is gone without anybody having hung up is noticed by this,
	// if the dialect does not.
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: Heartbeat, Interval: Heartbeat / 2, Count: 3}}
	if !t.TLS {
		return d.DialContext(ctx, "tcp", t.Address())
	}
	c := &tls.Config{}
	if t.tls != nil {
		c = t.tls.Clone()
	}
	c.ServerName = t.Host
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, "tcp", t.Address())
}

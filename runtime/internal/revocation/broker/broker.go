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
// connection is down is lost here, as in WSO2. etcd is for what must not be.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// Limits of waiting.
const (
	dialTimeout = 10 * time.Second // of one target, handshake included
	firstRetry  = 250 * time.Millisecond
	lastRetry   = 30 * time.Second
	// Heartbeat is how often both sides say that they are there; who has not for
	// twice as long is taken for gone.
	Heartbeat = 10 * time.Second
	repeatLog = 10 * time.Minute // of what goes on failing in the same way
)

// A Dial subscribes to a target's topic. A subscription is live when Dial
// returns: what is published from then on is received.
type Dial func(ctx context.Context, t Target) (Subscription, error)

// A Subscription is messages, one after the other.
type Subscription interface {
	// Receive waits for the next one. After an error there is none.
	Receive(ctx context.Context) (message.Message, error)
	Close()
}

// Options for New. Zero values stand for none, or for the defaults.
type Options struct {
	Factory            string // JNDI's initial context factory, a Java class
	URL                string // the provider's
	Username, Password string // if the URL has none, or others
	Topic              string
	TLS                *tls.Config // whom to trust
	Dials              map[Dialect]Dial
	Handle             func(message.Message)
	Log                *slog.Logger
}

// A Subscriber keeps up a subscription. Make one with New, then Run it.
type Subscriber struct {
	o       Options
	targets []Target
	log     *slog.Logger

	tried chan struct{} // closed after the first attempt

	mu    sync.Mutex
	state State // guarded by mu
}

// State is for those who look after the gateway.
type State struct {
	Source    string // "STOMP on broker:61613", or the addresses that are tried
	Connected bool
	Since     time.Time // when it came to be so
	Error     string    // why not connected
	Messages  int64
	Last      time.Time // of a message; zero: none yet
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
			t.Topic, t.tls = o.Topic, o.TLS
			kept = append(kept, t)
			places = append(places, t.String())
		}
	}
	if len(kept) == 0 {
		return nil, errors.New("none of the broker's dialects is known")
	}
	return &Subscriber{o: o, targets: kept, log: o.Log, tried: make(chan struct{}), state: State{Source: strings.Join(places, ", "), Since: time.Now(), Error: "not connected yet"}}, nil
}

// Targets are what is tried, in order.
func (s *Subscriber) Targets() []Target { return s.targets }

// Tried is closed when Run has subscribed, or has failed to for the first time.
func (s *Subscriber) Tried() <-chan struct{} { return s.tried }

// State is how things stand.
func (s *Subscriber) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run subscribes, again and again, until ctx is done.
func (s *Subscriber) Run(ctx context.Context) {
	var logged string
	var loggedAt time.Time
	first, wait := true, firstRetry
	tried := sync.OnceFunc(func() { close(s.tried) })
	last := 0 // the target that worked last; it is tried first
	for ctx.Err() == nil {
		began := time.Now()
		sub, i, err := s.connect(ctx, last)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.set(func(st *State) { st.Error = err.Error() })
			tried()
			if text := err.Error(); text != logged || time.Since(loggedAt) > repeatLog {
				logged, loggedAt = text, time.Now()
				s.log.Warn("[TokenRevocationJMS] [-] no subscription for token revocation; it is tried again and again", "topic", s.o.Topic, "error", text)
			}
			if !pause(ctx, wait) {
				return
			}
			wait = min(2*wait, lastRetry)
			continue
		}
		last, logged = i, ""
		t := s.targets[i]
		if first {
			s.log.Info("[TokenRevocationJMS] [-] subscriber service for token revocation is started", "topic", t.Topic, "broker", t.Address(), "dialect", t.Dialect, "tls", t.TLS)
			first = false
		} else {
			s.log.Info("[TokenRevocationJMS] [-] subscription for token revocation is restored; what was published meanwhile was not received", "topic", t.Topic, "broker", t.Address(), "dialect", t.Dialect)
		}
		s.set(func(st *State) {
			st.Source, st.Connected, st.Since, st.Error = t.String(), true, time.Now(), ""
		})
		tried()
		err = s.receive(ctx, sub)
		sub.Close()
		if ctx.Err() != nil {
			return
		}
		s.set(func(st *State) { st.Connected, st.Since, st.Error = false, time.Now(), err.Error() })
		s.log.Warn("[TokenRevocationJMS] [-] subscription for token revocation is lost", "topic", t.Topic, "broker", t.Address(), "dialect", t.Dialect, "error", err)
		// A broker that accepts and hangs up at once is not called in a hurry.
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

func (s *Subscriber) receive(ctx context.Context, sub Subscription) error {
	for {
		m, err := sub.Receive(ctx)
		if err != nil {
			return err
		}
		s.set(func(st *State) { st.Messages++; st.Last = time.Now() })
		s.o.Handle(m)
	}
}

// connect tries the targets, the preferred one first. The error tells of all.
func (s *Subscriber) connect(ctx context.Context, preferred int) (Subscription, int, error) {
	order := []int{preferred}
	for i := range s.targets {
		if i != preferred {
			order = append(order, i)
		}
	}
	var failed []string
	for _, i := range order {
		t := s.targets[i]
		one, cancel := context.WithTimeout(ctx, dialTimeout)
		sub, err := s.o.Dials[t.Dialect](one, t)
		cancel()
		if err == nil {
			return sub, i, nil
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		failed = append(failed, fmt.Sprintf("%s: %v", t, err))
	}
	text := strings.Join(failed, "; ")
	if hint := s.hint(); hint != "" {
		text += "; " + hint
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

func (s *Subscriber) set(f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.state)
}

// pause waits d and up to as long again, so that many gateways do not come back
// at the same moment.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Connect opens a connection to the target, with TLS if it is to have it.
func Connect(ctx context.Context, t Target) (net.Conn, error) {
	d := &net.Dialer{KeepAlive: 15 * time.Second}
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

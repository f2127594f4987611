// Package amqp091 speaks AMQP 0-9-1 to brokers such as WSO2's own and RabbitMQ.
//
// A topic is a routing key of the exchange amq.topic there. Each gateway has a
// queue of its own, which the broker takes away when the connection ends, or, if
// the subscription is durable, when nobody has come for a week.
//
// All messages are acknowledged by hand, also where nothing is to be kept: a broker
// sends without end what need not be, and the library keeps what has not been dealt
// with yet in a list without an end.
package amqp091

import (
	"context"
	"errors"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

const (
	exchange = "amq.topic"
	prefetch = 100 // messages that are under way at most
	lonely   = 7 * 24 * time.Hour
)

// Dial implements broker.Dial. Of the virtual hosts the first that there is is
// taken: WSO2's conf says carbon, which other brokers do not have.
func Dial(ctx context.Context, t broker.Target) (broker.Subscription, error) {
	var first error
	for _, vhost := range t.VirtualHosts {
		s, err := dial(ctx, t, vhost)
		if err == nil {
			return s, nil
		}
		if errors.As(err, new(*insideError)) {
			return nil, err
		}
		if first == nil {
			first = err
		}
		if !noSuchHost(err) || ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// noSuchHost reports whether the broker may have turned the virtual host away.
// Some say so (530), others hang up.
func noSuchHost(err error) bool {
	var e *amqp.Error
	return errors.Is(err, amqp.ErrVhost) || errors.As(err, &e) && (e.Code == amqp.NotAllowed || e.Code == amqp.NotFound || e.Code == amqp.AccessRefused && e.Reason != amqp.ErrCredentials.Reason)
}

// insideError is what a broker says in a virtual host, which there is.
type insideError struct{ error }

func (e *insideError) Unwrap() error { return e.error }

func dial(ctx context.Context, t broker.Target, vhost string) (_ *subscription, err error) {
	nc, err := broker.Connect(ctx, t)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = nc.Close()
			if ctx.Err() != nil {
				err = errors.New("no answer in AMQP 0-9-1")
			}
		}
	}()
	user, password := t.Username, t.Password
	if user == "" {
		user, password = "guest", "guest" // the protocol's anonymous
	}
	c, err := amqp.Open(nc, amqp.Config{
		SASL:      []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}},
		Vhost:     vhost,
		Heartbeat: broker.Heartbeat,
		Locale:    "en_US",
		FrameSize: 128 << 10,
		Properties: amqp.Table{"product": "micro-gw", "connection_name": "micro-gw token revocation",
			// With it the broker tells who was refused instead of hanging up.
			"capabilities": amqp.Table{"authentication_failure_close": true, "consumer_cancel_notify": true}},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = &insideError{err}
		}
	}()
	ch, err := c.Channel()
	if err != nil {
		return nil, err
	}
	durable := t.Durable != ""
	name, args := "", amqp.Table(nil)
	if durable {
		name, args = "micro-gw."+t.Topic+"."+t.Durable, amqp.Table{amqp.QueueTTLArg: lonely.Milliseconds()}
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	q, err := ch.QueueDeclare(name, durable, !durable, !durable, false, args)
	if err != nil {
		return nil, err
	}
	if err := ch.QueueBind(q.Name, t.Topic, exchange, false, nil); err != nil {
		return nil, err
	}
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	deliveries, err := ch.Consume(q.Name, "", false, true, false, false, nil)
	if err != nil {
		return nil, err
	}
	return &subscription{conn: nc, deliveries: deliveries, closed: closed}, nil
}

type subscription struct {
	conn       net.Conn
	deliveries <-chan amqp.Delivery
	closed     <-chan *amqp.Error
	last       *amqp.Delivery // that is being dealt with
}

func (s *subscription) Receive(ctx context.Context) (message.Message, error) {
	if s.last != nil {
		if err := s.last.Ack(false); err != nil {
			return message.Message{}, err
		}
	}
	select {
	case <-ctx.Done():
		return message.Message{}, ctx.Err()
	case d, ok := <-s.deliveries:
		if !ok {
			select {
			case e := <-s.closed:
				if e != nil {
					return message.Message{}, e
				}
			default:
			}
			return message.Message{}, errors.New("connection closed")
		}
		s.last = &d
		return message.Message{ContentType: d.ContentType, Properties: d.Headers, Body: d.Body}, nil
	}
}

// Close hangs up; the broker takes the queue away then.
func (s *subscription) Close() {
	_ = s.conn.Close()
	go func() {
		for range s.deliveries {
		}
	}()
}

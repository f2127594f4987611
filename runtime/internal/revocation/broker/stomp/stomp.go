// Package stomp speaks STOMP 1.0 to 1.2 to brokers such as ActiveMQ.
//
// What surprises: map messages are asked for as XML (jms-map-xml), which keeps
// every value as it was; without it ActiveMQ delivers them empty. What arrives is
// read by what it is all the same, for with several subscribers that ask for
// different forms the broker may deliver another's.
package stomp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// maxHead is the longest header line that is read; a property may be a whole
// token.
const maxHead = 64 << 10

// Dial implements broker.Dial.
func Dial(ctx context.Context, t broker.Target) (broker.Subscription, error) {
	nc, err := broker.Connect(ctx, t)
	if err != nil {
		return nil, err
	}
	// Whatever the library waits for below ends with ctx.
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	s, err := subscribe(ctx, nc, t)
	if !stop() && err == nil {
		s.Close()
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = errors.New("no answer in STOMP")
		} else if errors.Is(err, frame.ErrInvalidCommand) {
			err = errors.New("the port speaks another protocol")
		}
		return nil, err
	}
	return s, nil
}

func subscribe(ctx context.Context, nc net.Conn, t broker.Target) (*subscription, error) {
	options := []func(*stomp.Conn) error{
		stomp.ConnOpt.Host(t.Host),
		// Ours come twice as often as is promised, and the broker's may be late.
		stomp.ConnOpt.HeartBeat(broker.Heartbeat, broker.Heartbeat),
		stomp.ConnOpt.HeartBeatError(broker.Heartbeat / 2),
		stomp.ConnOpt.HeartBeatGracePeriodMultiplier(1.5),
		stomp.ConnOpt.ReadBufferSize(maxHead),
		stomp.ConnOpt.Logger(silent{}),
		stomp.ConnOpt.UnsubscribeReceiptTimeout(10 * time.Second),
		stomp.ConnOpt.DisconnectReceiptTimeout(time.Second),
	}
	if t.Username != "" {
		options = append(options, stomp.ConnOpt.Login(t.Username, t.Password))
	}
	c, err := stomp.ConnectWithContext(ctx, nc, options...)
	if err != nil {
		return nil, err
	}
	destination := "/topic/" + t.Topic
	form := stomp.SubscribeOpt.Header("transformation", "jms-map-xml")
	sub, err := c.Subscribe(destination, stomp.AckAuto, form)
	if err != nil {
		return nil, err
	}
	// The library takes no receipt for SUBSCRIBE, but waits for that of
	// UNSUBSCRIBE. A broker works through the frames of a connection one after the
	// other: when a second subscription is known to have ended, the first one
	// stands.
	second, err := c.Subscribe(destination, stomp.AckAuto, form)
	if err == nil {
		err = second.Unsubscribe()
	}
	if err != nil {
		// The reason is what the broker has said to the first one.
		select {
		case m := <-sub.C:
			if m != nil && m.Err != nil {
				err = m.Err
			}
		default:
		}
		return nil, fmt.Errorf("subscribe to %s: %w", destination, err)
	}
	return &subscription{nc, sub}, nil
}

type subscription struct {
	conn net.Conn
	sub  *stomp.Subscription
}

func (s *subscription) Receive(ctx context.Context) (message.Message, error) {
	select {
	case <-ctx.Done():
		return message.Message{}, ctx.Err()
	case m, ok := <-s.sub.C:
		switch {
		case !ok:
			return message.Message{}, errors.New("connection closed")
		case m.Err != nil:
			return message.Message{}, m.Err
		}
		properties := make(map[string]any, m.Header.Len())
		for i := range m.Header.Len() {
			name, value := m.Header.GetAt(i)
			if _, ok := properties[name]; !ok { // the first one counts (STOMP 1.2)
				properties[name] = value
			}
		}
		return message.Message{ContentType: m.ContentType, Properties: properties, Body: m.Body}, nil
	}
}

// Close hangs up. The library's goroutines end with the connection, if somebody
// takes what they hold.
func (s *subscription) Close() {
	_ = s.conn.Close()
	go func() {
		for range s.sub.C {
		}
	}()
}

// silent keeps the library from writing to the process's standard error.
type silent struct{}

func (silent) Debugf(string, ...any)   {}
func (silent) Infof(string, ...any)    {}
func (silent) Warningf(string, ...any) {}
func (silent) Errorf(string, ...any)   {}
func (silent) Debug(string)            {}
func (silent) Info(string)             {}
func (silent) Warning(string)          {}
func (silent) Error(string)            {}

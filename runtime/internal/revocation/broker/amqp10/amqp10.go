// Package amqp10 speaks AMQP 1.0 to brokers such as RabbitMQ with its plugin,
// ActiveMQ, Artemis and Qpid.
//
// What a topic's address is differs from broker to broker, and the broker says
// which one it is when the connection opens.
package amqp10

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/Azure/go-amqp"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// credit is how many messages are under way at most. Of what size they may be is
// for the broker to say: a limit of ours would end the link at each that is larger,
// and one that the broker keeps for us would do so for ever.
const credit = 100

// Dial implements broker.Dial.
func Dial(ctx context.Context, t broker.Target) (broker.Subscription, error) {
	nc, err := broker.Connect(ctx, t)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	s, err := subscribe(ctx, nc, t)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = errors.New("no answer in AMQP 1.0")
		}
		return nil, err
	}
	return s, nil
}

func subscribe(ctx context.Context, nc net.Conn, t broker.Target) (*subscription, error) {
	sasl := amqp.SASLTypeAnonymous()
	if t.Username != "" {
		sasl = amqp.SASLTypePlain(t.Username, t.Password)
	}
	c, err := amqp.NewConn(ctx, nc, &amqp.ConnOptions{
		ContainerID: t.Durable, // "": one that nobody else has
		HostName:    t.Host, SASLType: sasl, IdleTimeout: 2 * broker.Heartbeat, MaxFrameSize: 128 << 10,
	})
	if err != nil {
		return nil, err
	}
	session, err := c.NewSession(ctx, nil)
	if err != nil {
		return nil, err
	}
	address, capabilities := topic(c.Properties(), t.Topic)
	if t.Durable != "" && capabilities == nil && strings.HasPrefix(address, "/") {
		return nil, errors.New("this broker keeps nothing for who is away in AMQP 1.0: use AMQP 0-9-1 (amqp091://)")
	}
	o := &amqp.ReceiverOptions{
		Credit: credit, SettlementMode: amqp.ReceiverSettleModeFirst.Ptr(), RequestedSenderSettleMode: amqp.SenderSettleModeSettled.Ptr(),
		SourceCapabilities: capabilities,
	}
	if t.Durable != "" {
		// The name of the container and that of the link are what it is known by.
		o.Name, o.SourceDurability, o.SourceExpiryPolicy = t.Durable, amqp.DurabilityUnsettledState, amqp.ExpiryPolicyNever
		o.RequestedSenderSettleMode = amqp.SenderSettleModeUnsettled.Ptr()
	}
	r, err := session.NewReceiver(ctx, address, o)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", address, err)
	}
	return &subscription{conn: nc, receiver: r}, nil
}

// topic is the topic's address in the words of the broker.
func topic(broker map[string]any, name string) (address string, capabilities []string) {
	product, _ := broker["product"].(string)
	switch p := strings.ToLower(product); {
	case strings.Contains(p, "rabbitmq"):
		return "/topic/" + name, nil
	case strings.Contains(p, "activemq") && !strings.Contains(p, "artemis"):
		return "topic://" + name, nil
	}
	return name, []string{"topic"} // the JMS mapping of AMQP 1.0
}

type subscription struct {
	conn     net.Conn
	receiver *amqp.Receiver
	last     *amqp.Message // that is being dealt with
}

func (s *subscription) Receive(ctx context.Context) (message.Message, error) {
	if s.last != nil {
		if err := s.receiver.AcceptMessage(ctx, s.last); err != nil {
			return message.Message{}, err
		}
	}
	m, err := s.receiver.Receive(ctx, nil)
	if err != nil {
		return message.Message{}, err
	}
	s.last = m
	out := message.Message{Properties: m.ApplicationProperties}
	if m.Properties != nil && m.Properties.ContentType != nil {
		out.ContentType = *m.Properties.ContentType
	}
	switch v := m.Value.(type) {
	case string:
		out.Body = []byte(v)
	case []byte:
		out.Body = v
	case map[string]any:
		out.Map = v
	case map[any]any:
		out.Map = make(map[string]any, len(v))
		for k, value := range v {
			if name, ok := k.(string); ok {
				out.Map[name] = value
			}
		}
	}
	for _, part := range m.Data {
		// Of what is too large, enough for the reader to say so.
		out.Body = append(out.Body, part[:min(len(part), message.MaxBody+1-len(out.Body))]...)
	}
	return out, nil
}

// Close hangs up.
func (s *subscription) Close() { _ = s.conn.Close() }

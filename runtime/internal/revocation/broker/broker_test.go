package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// fake is brokers: which targets answer can be changed, and what is connected can
// be cut off.
type fake struct {
	mu    sync.Mutex
	up    map[string]bool
	tried []string
	plain string // of each of those: "p" or "-"
	cut   chan struct{}
}

type fakeSubscription struct {
	cut   chan struct{}
	sent  bool
	empty bool // the message has nothing in it
}

func (s *fakeSubscription) Receive(ctx context.Context) (message.Message, error) {
	if !s.sent {
		s.sent = true
		if s.empty {
			return message.Message{Properties: map[string]any{"message-id": "ID:7"}}, nil
		}
		return message.Message{Body: []byte("id")}, nil
	}
	select {
	case <-ctx.Done():
		return message.Message{}, ctx.Err()
	case <-s.cut:
		return message.Message{}, errors.New("cut off")
	}
}

func (s *fakeSubscription) Close() {}

func (f *fake) dial(ctx context.Context, t broker.Target) (broker.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried = append(f.tried, t.String())
	f.plain += map[bool]string{true: "p", false: "-"}[t.Plain]
	cut := make(chan struct{})
	switch t.Host {
	case "hangs-up":
		close(cut)
		return &fakeSubscription{cut: cut}, nil
	case "hangs-up-without":
		close(cut)
		return &fakeSubscription{cut: cut, sent: !t.Plain, empty: true}, nil
	case "restarts": // and nothing is in the way
		if len(f.tried) <= 3 {
			close(cut)
		}
		return &fakeSubscription{cut: cut, sent: true}, nil
	}
	if t.Host == "hangs" {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return nil, ctx.Err()
	}
	if t.Host == "away" {
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	}
	if !f.up[t.String()] {
		return nil, errors.New("refused")
	}
	return &fakeSubscription{cut: f.cut}, nil
}

func (f *fake) set(up map[string]bool) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	tried := f.tried
	f.up, f.tried = up, nil
	if f.cut != nil {
		close(f.cut)
	}
	f.cut = make(chan struct{})
	return tried
}

func (f *fake) options(url string, log *bytes.Buffer) broker.Options {
	return broker.Options{
		Factory: activeMQ, URL: url, Topic: "t", Handle: func(message.Message) {}, Log: slog.New(slog.NewTextHandler(log, nil)),
		Dials: map[broker.Dialect]broker.Dial{broker.STOMP: f.dial, broker.AMQP091: f.dial, broker.AMQP10: f.dial},
	}
}

// All ways are tried in order until one works; that one is tried first from then
// on; and the log tells of each change once.
func TestSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fake{}
		f.set(nil)
		s, err := broker.New(f.options("tcp://b:61616", &log))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		<-s.Tried()
		if st := s.State(); st.Connected || !strings.Contains(st.Error, "STOMP on b:61613: refused; AMQP 1.0 on b:61616: refused") || !strings.Contains(st.Error, "stomp://0.0.0.0:61613") {
			t.Errorf("%+v", st)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "no subscription"); n != 1 {
			t.Errorf("the same failure is logged %d times", n)
		}
		const taken = "AMQP 1.0 on b:5672"
		tried := f.set(map[string]bool{taken: true})
		if len(tried) > 4*20 || len(tried) < 4*5 { // with back-off up to half a minute or so
			t.Errorf("%d attempts in five minutes", len(tried))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		st := s.State()
		if !st.Connected || st.Source != taken || st.Error != "" || st.Messages != 1 || st.Last.IsZero() {
			t.Errorf("%+v", st)
		}
		if tried := f.set(map[string]bool{taken: true}); fmt.Sprint(tried[len(tried)-4:]) != "[STOMP on b:61616 STOMP on b:61613 AMQP 1.0 on b:61616 AMQP 1.0 on b:5672]" {
			t.Errorf("tried %v", tried)
		}
		time.Sleep(time.Minute) // cut off by set
		synctest.Wait()
		if tried := f.set(map[string]bool{taken: true}); fmt.Sprint(tried) != "["+taken+"]" {
			t.Errorf("after a loss: tried %v", tried)
		}
		synctest.Wait() // that has cut it off again, which is logged
		for _, want := range []string{"is started", `dialect="AMQP 1.0"`, "is lost", "is restored"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q in\n%s", want, log.String())
			}
		}
		cancel()
		<-done
	})
}

// A broker that accepts and says nothing is given up, and the next is tried.
func TestSubscriberHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fake{}
		f.set(map[string]bool{"STOMP on b:1": true})
		s, err := broker.New(f.options("failover:(stomp://hangs:1,stomp://b:1)", &log))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		<-s.Tried()
		if st := s.State(); !st.Connected || st.Source != "STOMP on b:1" {
			t.Errorf("%+v", st)
		}
		cancel()
		<-done
	})
}

// A broker that is not there is asked again and again without delay, so that
// little is lost when it is back.
func TestSubscriberAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fake{}
		f.set(nil)
		s, err := broker.New(f.options("stomp://away:1", &log))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		time.Sleep(5 * time.Minute)
		cancel()
		<-done
		if n := len(f.set(nil)); n < 100 || n > 400 || strings.Count(log.String(), "no subscription") != 1 {
			t.Errorf("%d attempts in five minutes\n%s", n, log.String())
		}
	})
}

// A broker that hangs up on a durable subscription again and again, without a
// message, may have one in the way, which is asked for in a plain form then: once,
// for some seconds, and not on and on, for what comes in a plain form is empty.
func TestSubscriberInTheWay(t *testing.T) {
	const empty = `which was taken without its content`
	for _, tt := range []struct {
		durable, url, want string
		warned             bool
	}{
		{"", "stomp://hangs-up-without:1", "--------", false},
		{"gw-1", "stomp://hangs-up-without:1", "---p---p", true},
		{"gw-1", "amqp091://hangs-up-without:1", "--------", false},
		{"gw-1", "stomp://hangs-up:1", "--------", false},
		{"gw-1", "stomp://restarts:1", "---p-", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			f := &fake{}
			f.set(nil)
			o := f.options(tt.url, &log)
			o.Durable = tt.durable
			s, err := broker.New(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { s.Run(ctx); close(done) }()
			time.Sleep(time.Minute)
			cancel()
			<-done
			if !strings.HasPrefix(f.plain, tt.want) || strings.HasSuffix(tt.want, "p-") && f.plain != tt.want {
				t.Errorf("%q at %s: %s, want %s", tt.durable, tt.url, f.plain, tt.want)
			}
			if got := strings.Contains(log.String(), empty) && strings.Contains(log.String(), "message=ID:7"); got != tt.warned {
				t.Errorf("%q at %s: warned: %v\n%s", tt.durable, tt.url, got, log.String())
			}
		})
	}
}

package stomp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/broker/stomp"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// fake is a broker: what it says to CONNECT and to SUBSCRIBE, and afterwards.
type fake struct {
	connected, subscribed string
	then                  func(c net.Conn, in *bufio.Reader)
	got                   []string // frames, without NUL
}

func (f *fake) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for _, answer := range []string{f.connected, f.subscribed} {
		s, err := in.ReadString(0)
		if err != nil {
			return
		}
		f.got = append(f.got, strings.TrimLeft(strings.TrimSuffix(s, "\x00"), "\n"))
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
	if f.then != nil {
		f.then(c, in)
	}
}

// dial connects to the fake in the bubble of synctest that the caller is in.
func (f *fake) dial(t broker.Target) (broker.Subscription, error) {
	t.Host, t.Topic = "b", "tokenRevocation"
	t.Dial = func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go f.serve(theirs)
		return ours, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return stomp.Dial(ctx, t)
}

// subscribe is dial that has to succeed.
func (f *fake) subscribe(t *testing.T, to broker.Target) broker.Subscription {
	t.Helper()
	s, err := f.dial(to)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	connected  = "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\x00\n"
	subscribed = "RECEIPT\nreceipt-id:subscribed\n\n\x00"
)

func say(s string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(c, s); _ = c.Close() }
}

// receive returns what messages there are, and why there are no more.
func receive(t *testing.T, s broker.Subscription) (all []message.Message, err error) {
	t.Helper()
	for {
		m, err := s.Receive(context.Background())
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

// What is said at first. A password is sent as it is: CONNECT has no escapes.
func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{connected: connected, subscribed: subscribed, then: say("")}
		s := f.subscribe(t, broker.Target{Username: "me", Password: `p:a\ss`})
		defer s.Close()
		if want := "CONNECT\naccept-version:1.0,1.1,1.2\nhost:b\nheart-beat:10000,10000\nlogin:me\npasscode:p:a\\ss\n\n"; f.got[0] != want {
			t.Errorf("got %q, want %q", f.got[0], want)
		}
		if want := "SUBSCRIBE\nid:0\ndestination:/topic/tokenRevocation\nack:auto\nreceipt:subscribed\ntransformation:jms-map-xml\n\n"; f.got[1] != want {
			t.Errorf("got %q, want %q", f.got[1], want)
		}
		if _, err := s.Receive(context.Background()); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		connected, subscribed string
		user                  string
		want                  string
	}{
		"error":              {"ERROR\nmessage:User name [me] or password is invalid.\n\nlong\n\x00", "", "", "the broker says: User name [me] or password is invalid."},
		"error in the body":  {"ERROR\ncontent-length:3\n\nno\n\x00", "", "", "the broker says: no"},
		"control characters": {"ERROR\nmessage:a\x1bb\n\n\x00", "", "", "the broker says: a b"},
		"Artemis":            {"CONNECTED\nversion:1.2\nserver:ActiveMQ-Artemis/2.28.0 ActiveMQ Artemis Messaging Engine\n\n\x00", subscribed, "", "heard over AMQP 1.0"},
		"no topic":           {connected, "ERROR\nmessage:not authorized\n\n\x00", "", "subscribe to /topic/tokenRevocation: the broker says: not authorized"},
		"AMQP":               {"AMQP\x00\x00\x09\x01", "", "", "another protocol"},
		"HTTP":               {"HTTP/1.1 400 Bad Request\r\n\r\n", "", "", "another protocol"},
		"OpenWire":           {"\x00\x00\x01\x3e\x01ActiveMQ", "", "", "another protocol"},
		"a long line":        {"CONNECTED" + strings.Repeat("x", 1<<20) + "\n", "", "", "another protocol"},
		"a word":             {"MERCI\n\n\x00", "", "", "another protocol"},
		"a message":          {"MESSAGE\n\n\x00", "", "", `the broker says "MESSAGE"`},
		"silence":            {"", "", "", "no answer in STOMP"},
		"no receipt":         {connected, "RECEIPT\nreceipt-id:other\n\n\x00", "", "no answer in STOMP"},
		"messages only":      {connected, strings.Repeat("MESSAGE\n\nx\x00", 1001), "", "messages and no receipt"},
		"a line break":       {connected, subscribed, "me\nhost:other", "line break"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{connected: tt.connected, subscribed: tt.subscribed, then: func(c net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }}
				if tt.connected == "" {
					f.connected = "\n"
				}
				s, err := f.dial(broker.Target{Username: tt.user, Password: "secret-1"})
				if err == nil {
					s.Close()
					t.Fatal("connected")
				}
				if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-1") {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			})
		})
	}
}

// Whatever a message is like, those before and after it arrive.
func TestReceive(t *testing.T) {
	large := strings.Repeat("x", message.MaxBody+5)
	const next = "MESSAGE\nrevokedToken:next\n\n\x00\n"
	for name, tt := range map[string]struct {
		version, frame string
		body           string
		properties     string
	}{
		"properties":             {"1.2", "MESSAGE\r\nrevokedToken:a\r\nttl:1\r\n\r\n\x00", "", "map[revokedToken:a ttl:1]"},
		"escapes":                {"1.2", "MESSAGE\na\\cb:1\\n2\\r3\\\\c4\\x\n\n\x00", "", "map[a:b:1\n2\r3\\c4\\x]"},
		"escapes of 1.1":         {"1.1", "MESSAGE\na:1\\n2\\r3\\c\n\n\x00", "", "map[a:1\n2\\r3:]"},
		"no escapes in 1.0":      {"", "MESSAGE\na:1\\n2\\c\n\n\x00", "", "map[a:1\\n2\\c]"},
		"the first one counts":   {"1.2", "MESSAGE\na:1\na:2\n\n\x00", "", "map[a:1]"},
		"a colon":                {"1.2", "MESSAGE\na:1:2\n\n\x00", "", "map[a:1:2]"},
		"no colon":               {"1.2", "MESSAGE\nabc\n\n\x00", "", "map[]"},
		"a length":               {"1.2", "MESSAGE\ncontent-length:3\n\na\x00b\x00", "a\x00b", "map[content-length:3]"},
		"a length that is none":  {"1.2", "MESSAGE\ncontent-length:many\n\nab\x00", "ab", "map[content-length:many]"},
		"too large":              {"1.2", "MESSAGE\n\n" + large + "\x00", large[:message.MaxBody+1], "map[]"},
		"too large, by length":   {"1.2", fmt.Sprintf("MESSAGE\ncontent-length:%d\n\n%s\x00", len(large), large), large[:message.MaxBody+1], fmt.Sprintf("map[content-length:%d]", len(large))},
		"a long property":        {"1.2", "MESSAGE\na:1\nb:" + large + "\nc:2\n\n\x00", "", "map[a:1 c:2]"},
		"a token for a property": {"1.2", "MESSAGE\na:" + large[:message.MaxID] + "\n\n\x00", "", "map[a:" + large[:message.MaxID] + "]"},
		"other frames":           {"1.2", "RECEIPT\nreceipt-id:7\n\n\x00\nCONNECTED\n\n\x00\n\n\r\nMESSAGE\n\nx\x00", "x", "map[]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{connected: "CONNECTED\nversion:" + tt.version + "\n\n\x00", subscribed: "MESSAGE\nn:0\n\n\x00" + subscribed, then: say(tt.frame + next)}
				s := f.subscribe(t, broker.Target{})
				defer s.Close()
				all, err := receive(t, s)
				if !errors.Is(err, io.EOF) || len(all) != 3 {
					t.Fatalf("%d messages and %v", len(all), err)
				}
				if got := fmt.Sprint(all[1].Properties); string(all[1].Body) != tt.body || got != tt.properties {
					t.Errorf("got %.200q and %.200q", all[1].Body, got)
				}
				if all[0].Properties["n"] != "0" || all[2].Properties["revokedToken"] != "next" {
					t.Errorf("beside it: %v, %v", all[0], all[2])
				}
			})
		})
	}
	for name, tt := range map[string]struct{ frame, want string }{
		"error":                   {"ERROR\nmessage:gone\n\n\x00", "the broker says: gone"},
		"no frame":                {"X\n\n\x00", "another protocol"},
		"cut short":               {"MESSAGE\ncontent-length:100\n\nabc", "EOF"},
		"a length beyond all":     {"MESSAGE\ncontent-length:9223372036854775807\n\nabc", "EOF"},
		"a length that is a lie":  {"MESSAGE\ncontent-length:1\n\nabc\x00", "does not end where it says"},
		"a line that has no end":  {"MESSAGE\na:" + strings.Repeat("x", 17<<20), "a line that does not end"},
		"a body that has no end":  {"MESSAGE\n\n" + strings.Repeat("x", 17<<20), "EOF"},
		"a command that is large": {"MESSAGE" + strings.Repeat("x", 1<<17) + "\n", "another protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{connected: connected, subscribed: subscribed, then: say(tt.frame)}
				s := f.subscribe(t, broker.Target{})
				defer s.Close()
				if all, err := receive(t, s); len(all) != 0 || err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%d messages and %v", len(all), err)
				}
			})
		})
	}
}

// Each side hears of the other, as agreed; who is silent for too long is left.
func TestHeartbeats(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string // to 10000,10000
		beats  []time.Duration
		lost   time.Duration // after the last of them; 0: not within an hour
		ours   bool
	}{
		"both":            {"10000,10000", []time.Duration{0, 10 * time.Second, 21 * time.Second, 12 * time.Second}, 22500 * time.Millisecond, true},
		"faster":          {"1,1", nil, 22500 * time.Millisecond, true},
		"slower":          {"60000,60000", []time.Duration{100 * time.Second}, 122500 * time.Millisecond, true},
		"none":            {"0,0", nil, 0, false},
		"nothing said":    {"", nil, 0, false},
		"theirs only":     {"10000,0", nil, 22500 * time.Millisecond, false},
		"nonsense":        {"soon", nil, 0, false},
		"beyond all time": {"99999999999999999999,1", nil, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last, beats atomic.Int64
				f := &fake{connected: "CONNECTED\nversion:1.2\nheart-beat:" + tt.answer + "\n\n\x00", subscribed: subscribed, then: func(c net.Conn, in *bufio.Reader) {
					go func() {
						for {
							if b, err := in.ReadByte(); err != nil || b != '\n' {
								return
							}
							beats.Add(1)
						}
					}()
					for _, d := range tt.beats {
						time.Sleep(d)
						if _, err := io.WriteString(c, "\n"); err != nil {
							return
						}
					}
					last.Store(time.Now().UnixNano())
				}}
				s := f.subscribe(t, broker.Target{})
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				_, err := s.Receive(ctx)
				if took := time.Since(time.Unix(0, last.Load())); tt.lost > 0 && (err == nil || !strings.Contains(err.Error(), "silent for") || took != tt.lost) ||
					tt.lost == 0 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v after %v", err, took)
				}
				s.Close()
				synctest.Wait()
				if tt.ours != (beats.Load() > 0) {
					t.Errorf("%d heartbeats of ours", beats.Load())
				}
			})
		})
	}
}

// A durable subscription has the words of each broker for it, and what has been
// dealt with is acknowledged, not before.
func TestDurable(t *testing.T) {
	for version, want := range map[string]string{
		"1.2": "ACK\nid:a\\c1\n\n\x00", "1.1": "ACK\nmessage-id:m\\c1\nsubscription:gw-1\n\n\x00", "": "ACK\nmessage-id:m\\c1\nsubscription:gw-1\n\n\x00",
	} {
		synctest.Test(t, func(t *testing.T) {
			acked := make(chan string, 1)
			f := &fake{connected: "CONNECTED\nversion:" + version + "\n\n\x00", subscribed: subscribed, then: func(c net.Conn, in *bufio.Reader) {
				io.WriteString(c, "MESSAGE\nack:a\\c1\nmessage-id:m\\c1\n\nx\x00")
				s, _ := in.ReadString(0)
				acked <- s
				_ = c.Close()
			}}
			s, err := f.dial(broker.Target{Durable: "gw-1"})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if !strings.Contains(f.got[0], "\nclient-id:gw-1\n") || !strings.Contains(f.got[1], "\nack:client\n") || !strings.Contains(f.got[1], "\nid:gw-1\n") ||
				!strings.Contains(f.got[1], "\nactivemq.subscriptionName:gw-1\ndurable-subscription-name:gw-1\ndurable:true\nauto-delete:false\n") {
				t.Errorf("%q", f.got)
			}
			if _, err := s.Receive(context.Background()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(acked) > 0 {
				t.Error("acknowledged before it was dealt with")
			}
			if _, err := s.Receive(context.Background()); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if got := <-acked; got != want {
				t.Errorf("%s: got %q, want %q", version, got, want)
			}
		})
	}
}

// A subscription that is careful takes one message after the other, also when it
// asks for a plain one; others do not wait.
func TestCareful(t *testing.T) {
	for _, tt := range []struct {
		target broker.Target
		want   bool
	}{
		{broker.Target{}, false}, {broker.Target{Careful: true}, false}, {broker.Target{Durable: "gw-1"}, false},
		{broker.Target{Durable: "gw-1", Careful: true}, true}, {broker.Target{Durable: "gw-1", Plain: true}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{connected: connected, subscribed: subscribed}
			s, err := f.dial(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			if strings.Contains(f.got[1], "\nactivemq.prefetchSize:1\n") != tt.want {
				t.Errorf("%+v: %q", tt.target, f.got[1])
			}
		})
	}
}

// What the broker cannot give a form is taken without one, and nothing else is.
func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acked := ""
		f := &fake{connected: connected, subscribed: subscribed, then: func(c net.Conn, in *bufio.Reader) {
			io.WriteString(c, "MESSAGE\nack:1\n\n\x00MESSAGE\nack:2\n\n\x00")
			acked, _ = in.ReadString(0)
			io.WriteString(c, "RECEIPT\nreceipt-id:taken\n\n\x00")
		}}
		s := f.subscribe(t, broker.Target{Durable: "gw-1", Plain: true})
		defer s.Close()
		all, err := receive(t, s)
		if len(all) != 1 || err == nil || !strings.Contains(err.Error(), "in the way") || acked != "ACK\nid:1\nreceipt:taken\n\n\x00" || strings.Contains(f.got[1], "transformation") {
			t.Errorf("%v, %v, %q, %q", all, err, acked, f.got)
		}
	})
}

// Whatever a broker says: no panic, no message without an end, bounded ones, and
// always an end.
func FuzzReceive(f *testing.F) {
	f.Add("1.2", "MESSAGE\na:b\n\nx\x00")
	f.Add("1.1", "MESSAGE\ncontent-length:2\n\nx\x00\x00\nERROR\n\n\x00")
	f.Add("", "RECEIPT\n\\c:\\\n\n\x00\r\n")
	f.Fuzz(func(t *testing.T, version, said string) {
		synctest.Test(t, func(t *testing.T) {
			b := &fake{connected: "CONNECTED\nversion:" + version + "\n\n\x00", subscribed: subscribed, then: say(said)}
			s, err := b.dial(broker.Target{})
			if err != nil {
				return // the version has a NUL
			}
			defer s.Close()
			all, err := receive(t, s)
			if err == nil || len(all) > strings.Count(said, "MESSAGE") {
				t.Fatalf("%d messages, %v", len(all), err)
			}
			for _, m := range all {
				if len(m.Body) > message.MaxBody+1 || len(m.Body) > len(said) {
					t.Fatalf("a body of %d", len(m.Body))
				}
			}
		})
	})
}

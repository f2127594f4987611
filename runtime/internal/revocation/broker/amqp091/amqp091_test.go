package amqp091_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/broker/amqp091"
)

func frame(typ byte, channel uint16, payload string) string {
	b := binary.BigEndian.AppendUint16([]byte{typ}, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return string(b) + payload + "\xce"
}

// method is the frame of a method, by its class and its number there.
func method(channel uint16, class, id byte, arguments string) string {
	return frame(1, channel, string([]byte{0, class, 0, id})+arguments)
}

// serve is a broker that agrees to everything, and sends messages of these bodies
// to who consumes. What it is told of them goes to told.
func serve(c net.Conn, told chan<- string, bodies ...string) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	_, _ = io.WriteString(c, method(0, 10, 10, "\x00\x09\x00\x00\x00\x00\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US"))
	asked := make(chan []byte, 1000) // reading goes on while it writes
	go func() {
		defer close(asked)
		for {
			if _, err := io.ReadFull(c, head[:7]); err != nil {
				return
			}
			b := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if head[0] == 1 {
				asked <- b[:len(b)-1]
			}
		}
	}()
	for b := range asked {
		answer := ""
		switch [2]byte{b[1], b[3]} {
		case [2]byte{10, 11}: // start-ok
			answer = method(0, 10, 30, "\x07\xff\x00\x02\x00\x00\x00\x0a")
		case [2]byte{10, 40}: // open
			answer = method(0, 10, 41, "\x00")
		case [2]byte{20, 10}: // channel.open
			answer = method(1, 20, 11, "\x00\x00\x00\x00")
		case [2]byte{60, 10}: // basic.qos
			told <- fmt.Sprintf("qos %d", binary.BigEndian.Uint16(b[8:]))
			answer = method(1, 60, 11, "")
		case [2]byte{50, 10}: // queue.declare
			answer = method(1, 50, 11, "\x01q\x00\x00\x00\x00\x00\x00\x00\x00")
		case [2]byte{50, 20}: // queue.bind
			answer = method(1, 50, 21, "")
		case [2]byte{60, 20}: // basic.consume
			queue := 6 + 1 + int(b[6])
			tag := string(b[queue : queue+1+int(b[queue])])
			told <- fmt.Sprintf("consume, without acknowledgement: %v", b[queue+len(tag)]&2 != 0)
			answer = method(1, 60, 21, tag)
			for i, body := range bodies {
				answer += method(1, 60, 60, tag+"\x00\x00\x00\x00\x00\x00\x00"+string([]byte{byte(i + 1)})+"\x00\x09amq.topic\x01t")
				answer += frame(2, 1, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00"+string([]byte{byte(len(body))})+"\x00\x00") + frame(3, 1, body)
			}
		case [2]byte{60, 80}: // basic.ack
			told <- fmt.Sprintf("ack %d", binary.BigEndian.Uint64(b[4:]))
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// A broker has only so many messages under way, whether or not it keeps them, for
// each is acknowledged when it has been dealt with, and not before.
func TestFlow(t *testing.T) {
	for _, durable := range []string{"", "gw-1"} {
		ours, theirs := net.Pipe()
		told := make(chan string, 10)
		go serve(theirs, told, "a", "b")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s, err := amqp091.Dial(ctx, broker.Target{Host: "b", Topic: "t", Durable: durable, VirtualHosts: []string{"/"},
			Dial: func(context.Context) (net.Conn, error) { return ours, nil }})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		hear := func(n int) {
			for range n {
				select {
				case s := <-told:
					got = append(got, s)
				case <-ctx.Done():
					t.Fatalf("%q: only %q", durable, got)
				}
			}
		}
		hear(2)
		for range 2 {
			m, err := s.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(m.Body))
			if string(m.Body) == "b" {
				hear(1)
			} else if len(told) > 0 {
				t.Errorf("%q: %s, while it is dealt with", durable, <-told)
			}
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, _ = s.Receive(ended)
		hear(1)
		s.Close()
		if want := []string{"qos 100", "consume, without acknowledgement: false", "a", "b", "ack 1", "ack 2"}; !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", durable, got, want)
		}
	}
}

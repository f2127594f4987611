package amqp10_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/broker/amqp10"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// What a broker says, in the encoding of AMQP 1.0: a performative is a described
// list.
func performative(code byte, fields ...[]byte) []byte {
	list := bytes.Join(fields, nil)
	b := []byte{0, 0x53, code, 0xd0}
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(fields)))
	return append(b, list...)
}

func frame(typ byte, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(all)+8))
	return append(append(b, 2, typ, 0, 0), all...)
}

var (
	null, zero, yes, no = []byte{0x40}, []byte{0x43}, []byte{0x41}, []byte{0x42}
	text                = func(s string) []byte { return append([]byte{0xa1, byte(len(s))}, s...) }
)

// size is how long the encoded value is with which b begins.
func size(b []byte) int {
	switch b[0] >> 4 {
	case 4:
		return 1
	case 5:
		return 2
	case 6:
		return 3
	case 7:
		return 5
	case 8:
		return 9
	case 9:
		return 17
	case 0xa, 0xc, 0xe:
		return 2 + int(b[1])
	case 0xb, 0xd, 0xf:
		return 5 + int(binary.BigEndian.Uint32(b[1:]))
	}
	n := 1 + size(b[1:]) // a descriptor, and what it describes
	return n + size(b[n:])
}

// fields are the members of a performative's list, each as it is encoded.
func fields(body []byte) (all [][]byte) {
	b := body[3:]
	if b[0] == 0xc0 {
		b = b[3:]
	} else {
		b = b[9:]
	}
	for len(b) > 0 {
		n := size(b)
		all, b = append(all, b[:n]), b[n:]
	}
	return all
}

// serve is a broker that agrees to what it is asked for, a limit of messages among
// it, and sends messages of these sizes when it may.
func serve(c net.Conn, sizes ...int) {
	asked := make(chan []byte, 1000) // reading goes on while it writes
	go func() {
		defer close(asked)
		b := make([]byte, 8)
		for {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if string(b[:4]) == "AMQP" {
				asked <- append([]byte(nil), b...)
				continue
			}
			body := make([]byte, binary.BigEndian.Uint32(b)-8)
			if _, err := io.ReadFull(c, body); err != nil {
				return
			}
			asked <- body
		}
	}()
	for b := range asked {
		var answer []byte
		switch {
		case string(b) == "AMQP\x03\x01\x00\x00":
			answer = append(b, frame(1, performative(0x40, []byte("\xa3\x09ANONYMOUS")))...)
		case string(b[:4]) == "AMQP":
			answer = b
		case len(b) < 3:
		case b[2] == 0x41: // init
			answer = frame(1, performative(0x44, []byte{0x50, 0}))
		case b[2] == 0x10: // open
			answer = frame(0, performative(0x10, text("b")))
		case b[2] == 0x11: // begin
			answer = frame(0, performative(0x11, []byte{0x60, 0, 0}, zero, []byte{0x70, 0, 1, 0, 0}, []byte{0x70, 0, 1, 0, 0}))
		case b[2] == 0x12: // attach
			f := fields(b)
			for len(f) < 11 {
				f = append(f, null)
			}
			answer = frame(0, performative(0x12, f[0], zero, no, f[3], f[4], f[5], f[6], null, no, zero, f[10]))
		case b[2] == 0x13: // flow
			for i, n := range sizes {
				left := binary.BigEndian.AppendUint32([]byte{0, 0x53, 0x75, 0xb0}, uint32(n))
				left = append(left, bytes.Repeat([]byte("x"), n)...)
				for len(left) > 0 {
					part := left[:min(len(left), 64<<10)]
					left = left[len(part):]
					more := no
					if len(left) > 0 {
						more = yes
					}
					id := []byte{0x52, byte(i + 1)}
					answer = append(answer, frame(0, performative(0x14, zero, id, []byte{0xa0, 1, byte(i)}, zero, no, more), part)...)
				}
			}
			sizes = nil
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// A message that is too large arrives as one that is, and those after it do, too:
// it ends no link, on which a broker that keeps it would send it again for ever.
func TestLargeMessage(t *testing.T) {
	for _, durable := range []string{"", "gw-1"} {
		ours, theirs := net.Pipe()
		go serve(theirs, 10, 3<<20, 20)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s, err := amqp10.Dial(ctx, broker.Target{Host: "b", Topic: "tokenRevocation", Durable: durable, Dial: func(context.Context) (net.Conn, error) { return ours, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, want := range []int{10, message.MaxBody + 1, 20} {
			m, err := s.Receive(ctx)
			if err != nil {
				t.Fatalf("%q: instead of %d bytes: %v", durable, want, err)
			}
			if len(m.Body) != want {
				t.Errorf("%q: %d bytes, want %d", durable, len(m.Body), want)
			}
		}
	}
}

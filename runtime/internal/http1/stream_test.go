package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// pieces is a reader that yields its pieces one by one, then EOF.
type pieces [][]byte

func (p *pieces) Read(b []byte) (int, error) {
	for len(*p) > 0 && len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	(*p)[0] = (*p)[0][n:]
	return n, nil
}

// readBody reads a body that arrives in pieces. left is what arrived and does
// not belong to it.
func readBody(fr framing, lim *Limits, trailer *exchange.Header, arriving ...[]byte) (content, left string, err error) {
	src := pieces(arriving)
	in := stream{src: &src, buf: make([]byte, bufferSize)}
	var b body
	b.start(&in, &fr, lim, trailer)
	var got []byte
	for {
		ready := b.Ready()
		waited := false
		b.before = func() { waited = true }
		p, err := b.Next()
		if ready && waited && err == nil {
			return string(got), "", errors.New("Ready was wrong")
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			if _, again := b.Next(); again == nil || again == io.EOF {
				return "", "", fmt.Errorf("after %v: got %v, want an error", err, again)
			}
			return string(got), "", err
		}
		if len(p) == 0 {
			return "", "", errors.New("empty piece")
		}
		got = append(got, p...)
	}
	if b.state != bodyDone {
		return "", "", errors.New("not done after EOF")
	}
	if b.Received() != int64(len(got)) {
		return "", "", fmt.Errorf("Received is %d, want %d", b.Received(), len(got))
	}
	left = string(in.unread())
	for _, p := range src {
		left += string(p)
	}
	return string(got), left, nil
}

// splits calls f with input whole, cut in two at every byte, and byte by byte.
func splits(input string, f func(name string, arriving ...[]byte)) {
	f("whole", []byte(input))
	for i := 1; i < len(input); i++ {
		f(fmt.Sprintf("cut at %d", i), []byte(input[:i]), []byte(input[i:]))
	}
	var single [][]byte
	for i := range len(input) {
		single = append(single, []byte(input[i:i+1]))
	}
	f("byte by byte", single...)
}

func TestChunked(t *testing.T) {
	lim := DefaultLimits()
	lim.ChunkLine, lim.TrailerBytes, lim.Fields, lim.BodyBytes = 64, 128, 4, 100
	big := strings.Repeat("x", 100)
	const refused = "\x00refused"
	tests := []struct{ input, want string }{
		// RFC 9112, section 7.1.
		{"0\r\n\r\n", ""},
		{"5\r\nhello\r\n0\r\n\r\n", "hello"},
		{"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
		{"0005\r\nhello\r\n000\r\n\r\n", "hello"},
		{"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
		{"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
		{"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", "\r\n"},
		{"64\r\n" + big + "\r\n0\r\n\r\n", big},

		{"\r\n0\r\n\r\n", refused},
		{"5\r\nhello\r\n\r\n0\r\n\r\n", refused},
		{"5\r\nhello0\r\n\r\n", refused},
		{"5\r\nhello!\r\n0\r\n\r\n", refused},
		{"4\r\nhello\r\n0\r\n\r\n", refused},
		{"6\r\nhello\r\n0\r\n\r\n", refused},
		{"5\r\nhello\n0\r\n\r\n", refused},
		{"5\r\nhello\r0\r\n\r\n", refused},
		{"5\nhello\r\n0\r\n\r\n", refused},
		{"5\rhello\r\n0\r\n\r\n", refused},
		{"5\r\r\nhello\r\n0\r\n\r\n", refused},
		{"5\r\nhello\r\n0\n\r\n", refused},
		{"5\r\nhello\r\n0\r\n\n", refused},
		{"5\r\nhello\r\n0\r\n\rX", refused},
		{"-5\r\nhello\r\n0\r\n\r\n", refused},
		{"+5\r\nhello\r\n0\r\n\r\n", refused},
		{"0x5\r\nhello\r\n0\r\n\r\n", refused},
		{"5h\r\nhello\r\n0\r\n\r\n", refused},
		{"g\r\nhello\r\n0\r\n\r\n", refused},
		{" 5\r\nhello\r\n0\r\n\r\n", refused},
		{"5 \r\nhello\r\n0\r\n\r\n", refused},
		{"5 5\r\nhello\r\n0\r\n\r\n", refused},
		{"5,5\r\nhello\r\n0\r\n\r\n", refused},
		{"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n", refused},

		// Sizes: no overflow, whatever the number of digits.
		{"65\r\n" + big + "x\r\n0\r\n\r\n", refused}, // the limit of content
		{"fffffffffffffff\r\nhello", refused},
		{"10000000000000005\r\nhello\r\n0\r\n\r\n", refused},
		{"7fffffffffffffff\r\nhello\r\n0\r\n\r\n", refused},
		{"8000000000000000\r\nhello\r\n0\r\n\r\n", refused},
		{"fffffffffffffffb\r\nhello\r\n0\r\n\r\n", refused},
		{"000000000000005\r\nhello\r\n0\r\n\r\n", "hello"},
		{"0000000000000005\r\nhello\r\n0\r\n\r\n", refused},

		// Extensions are dropped (section 7.1.1).
		{"5;a\r\nhello\r\n0\r\n\r\n", "hello"},
		{"5;a=b;c=\"d;e\"\r\nhello\r\n0;f\r\n\r\n", "hello"},
		{"5 ; a = b\r\nhello\r\n0\r\n\r\n", "hello"},
		{"5\t;a\r\nhello\r\n0\r\n\r\n", "hello"},
		{"5;\xff\r\nhello\r\n0\r\n\r\n", "hello"},
		{"5;a\nb\r\nhello\r\n0\r\n\r\n", refused},
		{"5;a\rb\r\nhello\r\n0\r\n\r\n", refused},
		{"5;\x00\r\nhello\r\n0\r\n\r\n", refused},
		{"5;" + strings.Repeat("a", 60) + "\r\nhello\r\n0\r\n\r\n", "hello"},
		{"5;" + strings.Repeat("a", 61) + "\r\nhello\r\n0\r\n\r\n", refused},
		{strings.Repeat("0", 200), refused},

		// Trailer sections (section 7.1.2) are read and checked.
		{"0\r\nA: b\r\n\r\n", ""},
		{"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", "hello"},
		{"0\r\nA : b\r\n\r\n", refused},
		{"0\r\n A: b\r\n\r\n", refused},
		{"0\r\nA: b\r\n c\r\n\r\n", refused},
		{"0\r\nA\r\n\r\n", refused},
		{"0\r\nA: \x00\r\n\r\n", refused},
		{"0\r\nA: b\n\r\n", refused},
		{"0\r\nA: b\r\n\n", refused},
		{"0\r\nA:" + strings.Repeat("b", 122) + "\r\n\r\n", ""},
		{"0\r\nA:" + strings.Repeat("b", 123) + "\r\n\r\n", refused},
		{"0\r\n" + strings.Repeat("A:\r\n", 4) + "\r\n", ""},
		{"0\r\n" + strings.Repeat("A:\r\n", 5) + "\r\n", refused},

		// Ends before the end.
		{"", refused},
		{"5", refused},
		{"5\r\n", refused},
		{"5\r\nhel", refused},
		{"5\r\nhello", refused},
		{"5\r\nhello\r\n", refused},
		{"5\r\nhello\r\n0\r\n", refused},
		{"5\r\nhello\r\n0\r\nA: b\r\n", refused},
	}
	fr := framing{chunked: true, length: -1}
	for _, test := range tests {
		t.Run(oneLine(test.input), func(t *testing.T) {
			input := test.input
			const next = "GET / HTTP/1.1\r\n\r\n"
			if test.want != refused {
				input += next // belongs to the next message
			}
			splits(input, func(name string, arriving ...[]byte) {
				got, left, err := readBody(fr, &lim, nil, arriving...)
				switch {
				case test.want == refused && err == nil:
					t.Errorf("%s: got %q, want an error", name, got)
				case test.want != refused && (err != nil || got != test.want):
					t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
				case test.want != refused && left != next:
					t.Errorf("%s: %q is left, want %q", name, left, next)
				}
			})
		})
	}
}

func TestTrailerFields(t *testing.T) {
	lim := DefaultLimits()
	splits("3\r\nabc\r\n0\r\nA: b\r\nX-C:  d \r\n\r\n", func(name string, arriving ...[]byte) {
		var h exchange.Header
		if _, _, err := readBody(framing{chunked: true, length: -1}, &lim, &h, arriving...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, f := range h.Fields {
			got = append(got, fmt.Sprintf("%s=%s", f.Name, f.Value))
		}
		if want := "[A=b X-C=d]"; fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, want %s", name, got, want)
		}
	})
}

func TestBodyOfKnownLength(t *testing.T) {
	lim := DefaultLimits()
	splits("hello, world", func(name string, arriving ...[]byte) {
		got, left, err := readBody(framing{length: 5}, &lim, nil, arriving...)
		if got != "hello" || left != ", world" || err != nil {
			t.Errorf("%s: got %q and %q left, %v", name, got, left, err)
		}
		_, _, err = readBody(framing{length: 13}, &lim, nil, arriving...)
		if err != errTruncated {
			t.Errorf("%s: got %v, want %v", name, err, errTruncated)
		}
	})
	lim.BodyBytes = 4
	if _, _, err := readBody(framing{length: 5}, &lim, nil, []byte("hello")); err != errTooLarge {
		t.Errorf("got %v, want %v", err, errTooLarge)
	}
}

func TestBodyUntilClose(t *testing.T) {
	lim := DefaultLimits()
	splits("hello, world", func(name string, arriving ...[]byte) {
		got, _, err := readBody(framing{untilEOF: true, length: -1}, &lim, nil, arriving...)
		if got != "hello, world" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	})
	lim.BodyBytes = 4
	if _, _, err := readBody(framing{untilEOF: true, length: -1}, &lim, nil, []byte("hello")); err != errTooLarge {
		t.Errorf("got %v, want %v", err, errTooLarge)
	}
}

// A body far larger than the buffer, behind a head that is still in use and
// must stay as it is.
func TestBodyLeavesTheHeadAlone(t *testing.T) {
	for _, headLen := range []int{0, 1, 100, bufferSize - 2049, bufferSize - 2048, bufferSize - 1, bufferSize} {
		content := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
		head := bytes.Repeat([]byte{'H'}, headLen)
		var wire []byte
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 5000)
			wire = append(appendChunkSize(wire, n), rest[:n]...)
			wire = append(wire, "\r\n"...)
			rest = rest[n:]
		}
		wire = append(wire, "0\r\nA: b\r\n\r\n"...)
		src := pieces{head, wire}
		in := stream{src: &src, buf: make([]byte, bufferSize)}
		for in.w < headLen {
			if err := in.fill(); err != nil {
				t.Fatal(err)
			}
		}
		view := in.unread()
		in.r = headLen
		in.hold()
		lim := DefaultLimits()
		var b body
		b.start(&in, &framing{chunked: true, length: -1}, &lim, nil)
		var got []byte
		for {
			p, err := b.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("head of %d bytes: %v", headLen, err)
			}
			got = append(got, p...)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("head of %d bytes: content differs", headLen)
		}
		if !bytes.Equal(view, head) {
			t.Errorf("head of %d bytes was overwritten", headLen)
		}
	}
}

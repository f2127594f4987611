package stomp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// A frame is a command, lines of header, and a body that ends with NUL. What of it
// is larger than the limits is read and thrown away, so that one message that
// somebody has published does not end the connection on which the next ones come.
const (
	maxLine = 64 << 10 // of header; a property may be a whole token
	maxHead = 256 << 10
	// maxDropped bounds a line that is thrown away, for what has no end is no line.
	maxDropped = 16 << 20
	// maxBody is more than is looked at, so that whoever looks says what is wrong.
	maxBody = message.MaxBody + 1
)

type frame struct {
	command string
	header  [][2]string
	body    []byte
}

// get returns the first value of a header; the first one counts (STOMP 1.2).
func (f *frame) get(name string) string {
	for _, h := range f.header {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// failure is what an ERROR says, or that the frame is none that was waited for.
func (f *frame) failure() error {
	if f.command != "ERROR" {
		return fmt.Errorf("the broker says %.20q", f.command)
	}
	text := f.get("message")
	if text == "" {
		text, _, _ = strings.Cut(strings.TrimSpace(string(f.body)), "\n")
	}
	return fmt.Errorf("the broker says: %.300s", printable(text))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

var errOther = errors.New("the port speaks another protocol")

type reader struct {
	in *bufio.Reader
}

// frame reads the next frame; line breaks before it are heartbeats.
func (r *reader) frame(version string) (f frame, err error) {
	for f.command == "" {
		// Other protocols may go on for long without a line break.
		b, err := r.in.Peek(1)
		if err != nil {
			return f, err
		}
		if !strings.ContainsRune("CMRE\r\n", rune(b[0])) {
			return f, errOther
		}
		line, whole, err := r.line()
		if err != nil {
			return f, err
		}
		f.command = line
		switch line {
		case "", "CONNECTED", "MESSAGE", "RECEIPT", "ERROR":
		default:
			whole = false
		}
		if !whole {
			return f, errOther
		}
	}
	size, length := 0, int64(-1)
	for {
		line, whole, err := r.line()
		if err != nil {
			return f, err
		}
		if line == "" && whole {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !whole || size > maxHead {
			continue
		}
		size += len(line)
		// CONNECTED has no escapes, as CONNECT.
		if un := unescapes[version]; un != nil && f.command != "CONNECTED" {
			name, value = un.Replace(name), un.Replace(value)
		}
		f.header = append(f.header, [2]string{name, value})
		if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); name == "content-length" && length < 0 && err == nil && n >= 0 {
			length = n
		}
	}
	f.body, err = r.body(length)
	return f, err
}

// line reads a line; of one that is too long the beginning, and whole is false.
func (r *reader) line() (line string, whole bool, err error) {
	var b []byte
	whole = true
	for n := 0; ; {
		part, err := r.in.ReadSlice('\n')
		n += len(part)
		if whole = whole && len(b)+len(part) <= maxLine; whole {
			b = append(b, part...)
		}
		switch {
		case err == nil:
			return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), whole, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", false, err
		case n > maxDropped:
			return "", false, errors.New("a line that does not end")
		}
	}
}

// body reads a body of a length, or if that is less than 0 up to NUL.
func (r *reader) body(length int64) ([]byte, error) {
	if length >= 0 {
		b, err := io.ReadAll(io.LimitReader(r.in, min(length, maxBody)))
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r.in, length-int64(len(b))); err != nil {
			return nil, err
		}
		end, err := r.in.ReadByte()
		if err == nil && end != 0 {
			err = errors.New("a frame that does not end where it says")
		}
		return b, err
	}
	var b []byte
	for {
		part, err := r.in.ReadSlice(0)
		b = append(b, part[:min(len(part), maxBody+1-len(b))]...)
		if err == nil {
			return b[:min(max(len(b)-1, 0), maxBody)], nil // without NUL
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// STOMP 1.0 has no escapes; 1.1 none for a carriage return. What is no escape is
// left as it is.
var (
	unescapes = map[string]*strings.Replacer{
		"1.1": strings.NewReplacer(`\n`, "\n", `\c`, ":", `\\`, `\`),
		"1.2": strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\c`, ":", `\\`, `\`),
	}
	escapes = map[string]*strings.Replacer{
		"1.1": strings.NewReplacer("\n", `\n`, ":", `\c`, `\`, `\\`),
		"1.2": strings.NewReplacer("\r", `\r`, "\n", `\n`, ":", `\c`, `\`, `\\`),
	}
)

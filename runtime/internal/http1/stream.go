package http1

import (
	"bytes"
	"io"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// bufferSize is what a connection in use reads into. Heads up to it need no
// other memory.
const bufferSize = 16 << 10

// A stream is the incoming side of a connection: what was read and not yet
// used is buf[r:w]. What lies before base belongs to a head that is still in
// use, so that refilling must not touch it.
type stream struct {
	src        io.Reader
	buf        []byte
	base, r, w int
}

// unread is what has arrived and was not used yet.
func (s *stream) unread() []byte { return s.buf[s.r:s.w] }

// fill reads more behind what is there. The buffer must have room.
func (s *stream) fill() error {
	n, err := s.src.Read(s.buf[s.w:])
	s.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// room makes place for at least one byte more, by growing the buffer up to
// limit. It reports whether it could. Views into the buffer are lost.
func (s *stream) room(limit int) bool {
	if s.w < len(s.buf) {
		return true
	}
	if s.r > 0 && s.base == 0 {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
		return true
	}
	if len(s.buf) >= limit {
		return false
	}
	grown := make([]byte, min(2*len(s.buf), limit))
	copy(grown, s.buf[:s.w])
	s.buf = grown
	return true
}

// rewind moves what is unread to the front, for the next head.
func (s *stream) rewind() {
	if s.r > 0 {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	s.base = 0
}

// hold protects the head that ends at r from being overwritten.
func (s *stream) hold() { s.base = s.r }

// refill reads into the space behind base; everything there must be used up.
func (s *stream) refill() error {
	if s.r != s.w {
		panic("http1: refill over unread bytes")
	}
	if len(s.buf)-s.base < 2048 {
		// A head has nearly filled the buffer: go on in fresh memory.
		s.buf, s.base = make([]byte, bufferSize), 0
	}
	s.r, s.w = s.base, s.base
	return s.fill()
}

// A body yields the content of one message from a stream (RFC 9112, sections 6
// and 7). It implements exchange.Body.
type body struct {
	in      *stream
	lim     *Limits
	state   bodyState
	remain  int64 // of the content or the chunk
	total   int64 // content bytes seen
	last    int   // bytes handed out by the last Next, still at in.r
	trailer *exchange.Header
	scratch []byte // trailer fields live here

	// before is called when bytes are needed that have not arrived; after when
	// they have.
	before, after func()
	// interrupt wakes a Next that is waiting; the connection is lost then.
	interrupt func()
}

type bodyState uint8

const (
	bodyDone bodyState = iota
	bodyLength
	bodyUntilEOF
	bodyChunkSize
	bodyChunkData
	bodyChunkEnd
	bodyTrailer
	bodyBroken
)

// start makes b ready to read the content that fr announces.
func (b *body) start(in *stream, fr *framing, lim *Limits, trailer *exchange.Header) {
	b.in, b.lim, b.trailer = in, lim, trailer
	b.total, b.last, b.remain = 0, 0, 0
	switch {
	case !fr.hasBody():
		b.state = bodyDone
	case fr.chunked:
		b.state = bodyChunkSize
	case fr.untilEOF:
		b.state = bodyUntilEOF
	default:
		b.state, b.remain = bodyLength, fr.length
	}
}

// Ready implements exchange.Body.
func (b *body) Ready() bool {
	u := b.in.unread()[b.last:]
	inside := b.remain > int64(b.last)
	switch b.state {
	case bodyDone, bodyBroken:
		return true
	case bodyLength:
		return !inside || len(u) > 0
	case bodyChunkData:
		if inside {
			return len(u) > 0
		}
		return chunkReady(u, 2) // the chunk's own line end
	case bodyChunkEnd:
		return chunkReady(u, 2)
	case bodyChunkSize:
		return chunkReady(u, 0)
	case bodyTrailer:
		return trailerReady(u)
	}
	return len(u) > 0
}

// chunkReady reports whether Next can go on from u, which begins skip bytes
// before a chunk's first line, without waiting. A piece is often followed by
// the end of its chunk and nothing else: whoever took that for the next piece
// would sit on an event until the one after it.
func chunkReady(u []byte, skip int) bool {
	if len(u) < skip {
		return false
	}
	u = u[skip:]
	l, n, err := line(u)
	if n == 0 {
		return err != nil
	}
	size, ok := parseChunkLine(l)
	if ok && size == 0 {
		return trailerReady(u[n:])
	}
	return !ok || len(u) > n
}

func trailerReady(u []byte) bool {
	return len(u) >= 2 && u[0] == '\r' && u[1] == '\n' || bytes.Contains(u, []byte("\r\n\r\n"))
}

// settle gives back the piece that the last Next handed out.
func (b *body) settle() {
	b.in.r += b.last
	b.remain -= int64(b.last)
	b.last = 0
}

// errors of bodies; the caller knows whose fault they are.
type bodyError string

func (e bodyError) Error() string { return string(e) }

const (
	errTooLarge   = bodyError("content is larger than allowed")
	errChunk      = bodyError("malformed chunk")
	errChunkLong  = bodyError("chunk line or trailer section is too long")
	errTruncated  = bodyError("connection closed before the end of the content")
	errBodyBroken = bodyError("content was broken before")
)

// Next implements exchange.Body.
func (b *body) Next() ([]byte, error) {
	b.settle()
	for {
		switch b.state {
		case bodyDone:
			return nil, io.EOF
		case bodyBroken:
			return nil, errBodyBroken
		case bodyLength, bodyChunkData:
			if b.remain == 0 {
				if b.state == bodyLength {
					b.state = bodyDone
				} else {
					b.state = bodyChunkEnd
				}
				continue
			}
			return b.piece(min(b.remain, int64(len(b.in.buf))))
		case bodyUntilEOF:
			p, err := b.piece(int64(len(b.in.buf)))
			if err == errTruncated {
				b.state = bodyDone
				return nil, io.EOF
			}
			return p, err
		case bodyChunkEnd:
			if err := b.need(2); err != nil {
				return nil, err
			}
			if u := b.in.unread(); u[0] != '\r' || u[1] != '\n' {
				return nil, b.broken(errChunk)
			}
			b.in.r += 2
			b.state = bodyChunkSize
		case bodyChunkSize:
			if err := b.chunkSize(); err != nil {
				return nil, err
			}
		case bodyTrailer:
			if err := b.trailers(); err != nil {
				return nil, err
			}
		}
	}
}

func (b *body) broken(err error) error {
	b.state = bodyBroken
	return err
}

// piece hands out up to limit bytes.
func (b *body) piece(limit int64) ([]byte, error) {
	if b.in.r == b.in.w {
		if err := b.more(); err != nil {
			return nil, err
		}
	}
	p := b.in.unread()
	if int64(len(p)) > limit {
		p = p[:limit]
	}
	b.last = len(p)
	b.total += int64(len(p))
	if b.lim.BodyBytes > 0 && b.total > b.lim.BodyBytes {
		b.last = 0
		return nil, b.broken(errTooLarge)
	}
	return p, nil
}

// more reads from the connection, after everything was used.
func (b *body) more() error {
	return b.read(b.in.refill)
}

func (b *body) read(f func() error) error {
	if b.before != nil {
		b.before()
	}
	err := f()
	if b.after != nil {
		b.after()
	}
	if err != nil {
		if err == io.EOF {
			err = errTruncated
		}
		return b.broken(err)
	}
	return nil
}

// need waits for n unread bytes; n is small.
func (b *body) need(n int) error {
	for b.in.w-b.in.r < n {
		if err := b.extend(); err != nil {
			return err
		}
	}
	return nil
}

// extend reads more behind what is unread, for what must lie in one piece.
func (b *body) extend() error {
	in := b.in
	if in.r == in.w {
		return b.more()
	}
	if len(in.buf)-in.r < b.lim.ChunkLine+b.lim.TrailerBytes+64 && in.r > in.base {
		in.w = in.base + copy(in.buf[in.base:], in.buf[in.r:in.w])
		in.r = in.base
	}
	if in.w == len(in.buf) {
		grown := make([]byte, 2*len(in.buf))
		in.w = copy(grown, in.buf[in.r:in.w])
		in.buf, in.base, in.r = grown, 0, 0
	}
	return b.read(in.fill)
}

// chunkSize reads a chunk's first line (RFC 9112, section 7.1). Extensions are
// checked for line ends and dropped.
func (b *body) chunkSize() error {
	for {
		u := b.in.unread()
		l, n, err := line(u)
		if err != nil {
			return b.broken(errChunk)
		}
		if n == 0 {
			if len(u) > b.lim.ChunkLine {
				return b.broken(errChunkLong)
			}
			if err := b.extend(); err != nil {
				return err
			}
			continue
		}
		if n > b.lim.ChunkLine {
			return b.broken(errChunkLong)
		}
		size, ok := parseChunkLine(l)
		if !ok {
			return b.broken(errChunk)
		}
		b.in.r += n
		if size == 0 {
			b.state = bodyTrailer
		} else {
			b.state, b.remain = bodyChunkData, size
		}
		return nil
	}
}

// parseChunkLine reads chunk-size [ chunk-ext ].
func parseChunkLine(l []byte) (size int64, ok bool) {
	i := 0
	for ; i < len(l); i++ {
		var d byte
		switch c := l[i]; {
		case isDigit(c):
			d = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			d = c | 0x20 - 'a' + 10
		default:
			d = 255
		}
		if d == 255 {
			break
		}
		if i >= 15 { // 60 bits: no overflow
			return 0, false
		}
		size = size<<4 | int64(d)
	}
	if i == 0 {
		return 0, false
	}
	ext := exchange.Trim(l[i:])
	// BWS before the ";" is allowed by the grammar of extensions.
	return size, validValue(ext) && (len(ext) == 0 && len(l) == i || len(ext) > 0 && ext[0] == ';')
}

// trailers reads the trailer section. Its fields are kept only if somebody
// asked for them.
func (b *body) trailers() error {
	for {
		u := b.in.unread()
		if b.trailer != nil {
			b.trailer.Reset()
		}
		var drop exchange.Header
		into := b.trailer
		if into == nil {
			into = &drop
		}
		// The common case is no field at all.
		if len(u) >= 2 && u[0] == '\r' && u[1] == '\n' {
			b.in.r += 2
			b.state = bodyDone
			return nil
		}
		n, err := parseFields(u, into, b.lim.Fields)
		if err != nil {
			return b.broken(err)
		}
		if n > b.lim.TrailerBytes || n == 0 && len(u) > b.lim.TrailerBytes {
			return b.broken(errChunkLong)
		}
		if n > 0 {
			// The buffer may be refilled before the fields are used.
			if b.trailer != nil {
				b.scratch = append(b.scratch[:0], u[:n]...)
				b.trailer.Reset()
				_, _ = parseFields(b.scratch, b.trailer, b.lim.Fields)
			}
			b.in.r += n
			b.state = bodyDone
			return nil
		}
		if err := b.extend(); err != nil {
			return err
		}
	}
}

package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// The way of a line: Log appends it to the buffer of a shard, under the shard's
// lock. One goroutine, the writer, collects the buffers: once a second while
// there is something in them, and at once when one is well filled. It exchanges a
// shard's buffer for an empty one, so that no request waits while it writes. If
// the file is slower than the traffic, or stuck, buffers fill up and lines are
// dropped and counted.
const (
	shardSize   = 128 << 10
	collectSize = 32 << 10 // a buffer this full is written out at once
	flushPeriod = time.Second
	// warnPeriod is how often trouble with the file is reported.
	warnPeriod = time.Minute
	// closeWait bounds the last flush. A pipe whose reader is stuck cannot be
	// written to and the write cannot be called off.
	closeWait = 2 * time.Second
	// maxLine is more than the longest line: seven values of maxValue bytes, each
	// byte escaped to six, and what is fixed.
	maxLine = 7*6*maxValue + 1024
)

// Format is how a line of the access log looks.
type Format int

const (
	Combined Format = iota // of Apache httpd
	JSON                   // one object a line; see appendJSON for the keys
)

// AccessLogOptions says what to write where.
type AccessLogOptions struct {
	// Path is the file, "" or "-" for standard output. A file is appended to.
	Path   string
	Format Format
	// Logger hears of trouble with the file, at most once a minute.
	Logger *slog.Logger
}

// AccessLog writes one line per request. Lines of requests that end within the
// same second may be out of order. It is safe for concurrent use.
type AccessLog struct {
	path   string
	append func([]byte, *exchange.Exchange, time.Time, *stamp) []byte
	log    *slog.Logger

	tokens  *shards
	shards  []logShard
	dropped atomic.Uint64

	dirty  chan struct{} // a buffer is no longer empty
	filled chan struct{} // a buffer holds collectSize or more
	ask    chan request  // Reopen, Flush
	quit   chan struct{} // closed by Close
	done   chan struct{} // closed by the writer
	once   sync.Once     // for quit
	out    *os.File      // the writer's
	torn   bool          // the writer's: the last write ended within a line
	spare  []byte        // the writer's: an empty buffer
	warn   time.Time     // the writer's: when trouble was last reported
}

type logShard struct {
	mu    sync.Mutex
	buf   []byte // guarded by mu
	lines int    // guarded by mu: in buf
	stamp stamp  // guarded by mu
	_     [64]byte
}

type request struct {
	reopen bool
	answer chan error
}

// NewAccessLog opens the file and starts the writer. Close ends it.
func NewAccessLog(o AccessLogOptions) (*AccessLog, error) {
	l := &AccessLog{
		path:   o.Path,
		append: appendCombined,
		log:    o.Logger,
		dirty:  make(chan struct{}, 1),
		filled: make(chan struct{}, 1),
		ask:    make(chan request),
		quit:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	if o.Format == JSON {
		l.append = appendJSON
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if l.out, err = openLog(o.Path); err != nil {
		return nil, err
	}
	var n int
	l.tokens, n = newShards()
	l.shards = make([]logShard, n)
	go l.write()
	return l, nil
}

func stdout(path string) bool { return path == "" || path == "-" }

func openLog(path string) (*os.File, error) {
	if stdout(path) {
		return os.Stdout, nil
	}
	// Group may read: log shippers run as others.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return f, nil
}

// Log writes a line for an exchange that ended at the given time. It does not
// allocate and does not wait for the file.
func (l *AccessLog) Log(x *exchange.Exchange, end time.Time) {
	t := l.tokens.get()
	s := &l.shards[t.n]
	s.mu.Lock()
	if len(s.buf)+maxLine > cap(s.buf) {
		if s.buf != nil {
			s.mu.Unlock()
			l.tokens.put(t)
			l.dropped.Add(1)
			signal(l.filled)
			return
		}
		s.buf = make([]byte, 0, shardSize)
	}
	before := len(s.buf)
	s.buf = l.append(s.buf, x, end, &s.stamp)
	s.lines++
	after := len(s.buf)
	s.mu.Unlock()
	l.tokens.put(t)
	switch {
	case before == 0:
		signal(l.dirty)
	case before < collectSize && after >= collectSize:
		signal(l.filled)
	}
}

// Observe is Log for those who count routes as well.
func (l *AccessLog) Observe(x *exchange.Exchange, _ int, end time.Time) { l.Log(x, end) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Dropped is how many lines could not be written.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// Flush writes out what is buffered.
func (l *AccessLog) Flush() error { return l.do(false) }

// Reopen writes out what is buffered and opens the file by its name anew, for
// log rotation. If that fails the old file stays in use. Standard output is
// only flushed.
func (l *AccessLog) Reopen() error { return l.do(true) }

func (l *AccessLog) do(reopen bool) error {
	r := request{reopen: reopen, answer: make(chan error, 1)}
	select {
	case l.ask <- r:
	case <-l.done:
		return errClosed
	}
	select {
	case err := <-r.answer:
		return err
	case <-l.done:
		return errClosed
	}
}

var errClosed = errors.New("access log: closed")

// Close writes out what is buffered and closes the file. It waits two seconds
// at most. Lines logged later are lost.
func (l *AccessLog) Close() error {
	l.once.Do(func() { close(l.quit) })
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	select {
	case <-l.done:
		return nil
	case <-wait.C:
		return errors.New("access log: the file does not take the last lines")
	}
}

// write is the writer.
func (l *AccessLog) write() {
	defer close(l.done)
	defer func() {
		if !stdout(l.path) {
			l.out.Close()
		}
	}()
	l.spare = make([]byte, 0, shardSize)
	// Runs only while there is something to flush: an idle gateway sleeps.
	timer := time.NewTimer(flushPeriod)
	timer.Stop()
	running := false
	for {
		select {
		case <-l.dirty:
			if !running {
				running = true
				timer.Reset(flushPeriod)
			}
		case <-timer.C:
			running = false
			l.flush()
		case <-l.filled:
			l.flush()
		case r := <-l.ask:
			err := l.flush()
			if r.reopen {
				err = l.reopen()
			}
			r.answer <- err
		case <-l.quit:
			l.flush()
			return
		}
	}
}

func (l *AccessLog) reopen() error {
	if stdout(l.path) {
		return nil
	}
	f, err := openLog(l.path)
	if err != nil {
		return err
	}
	l.out.Close()
	l.out, l.torn = f, false
	return nil
}

// flush writes out every shard and returns the first error.
func (l *AccessLog) flush() (first error) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		if len(s.buf) == 0 {
			s.mu.Unlock()
			continue
		}
		full, lines := s.buf, s.lines
		s.buf, s.lines = l.spare, 0
		s.mu.Unlock()
		if err := l.put(full, lines); err != nil && first == nil {
			first = err
		}
		l.spare = full[:0]
	}
	return first
}

// put writes whole lines, or counts those that were not written.
func (l *AccessLog) put(b []byte, lines int) error {
	if l.torn {
		// Part of a line is in the file; its rest never will be.
		if _, err := l.out.Write([]byte("\n")); err != nil {
			return l.failed(err, lines)
		}
		l.torn = false
	}
	n, err := l.out.Write(b)
	if err == nil {
		return nil
	}
	if errors.Is(err, io.ErrShortWrite) || n > 0 {
		l.torn = n > 0 && b[n-1] != '\n'
		lines -= bytes.Count(b[:n], []byte("\n"))
	}
	return l.failed(err, lines)
}

func (l *AccessLog) failed(err error, lines int) error {
	total := l.dropped.Add(uint64(lines))
	if now := time.Now(); l.warn.IsZero() || now.Sub(l.warn) >= warnPeriod {
		l.warn = now
		l.log.Warn("access log: lines are being dropped, traffic goes on", "error", err, "dropped", total)
	}
	return err
}

package etcd

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// A snapshot is a text file: a first line that says what it is, a line with the
// end (seconds since 1970) and the id for each token, and a last line with their
// number. It holds ids as they are and not hashes, because hashes would need a
// secret beside them; an id of a revoked token lets nobody in, and the file is
// for its owner alone (0600). It is never changed but replaced, and when it was
// last known to be true is its time of modification.
type snapshot struct {
	path string

	mu      sync.Mutex
	pending map[string]int64 // guarded by mu, as all below: ends of what came since the file was written; 0: it is gone
	writing bool             // a new file is under way
	next    time.Time        // when the file may be written again
}

const (
	firstLine = "micro-gw revoked tokens 1"
	minPause  = 5 * time.Second
)

func newSnapshot(path string) *snapshot { return &snapshot{path: path, pending: map[string]int64{}} }

// load calls each for what has not ended, and returns when the file was true,
// the zero time if there is none. Also of a damaged file it reads what it can.
func (s *snapshot) load(now time.Time, each func(id string, until time.Time)) (time.Time, error) {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	err = lines(f, func(end int64, id string) {
		if end > now.Unix() {
			each(id, time.Unix(end, 0))
		}
	})
	return info.ModTime(), err
}

func lines(f *os.File, each func(end int64, id string)) error {
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 64<<10), 4*message.MaxID+64)
	if !in.Scan() || in.Text() != firstLine {
		return errors.New("not a file of revoked tokens")
	}
	n, bad, ended := 0, 0, false
	for in.Scan() {
		first, rest, _ := strings.Cut(in.Text(), " ")
		if first == "end" {
			ended = rest == strconv.Itoa(n+bad)
			continue
		}
		end, err := strconv.ParseInt(first, 10, 64)
		id, err2 := strconv.Unquote(rest)
		if err != nil || err2 != nil || id == "" || len(id) > message.MaxID {
			bad++
			continue
		}
		n++
		each(end, id)
	}
	switch {
	case in.Err() != nil:
		return in.Err()
	case bad > 0 || !ended:
		return fmt.Errorf("damaged: %d lines are no good, and the last one is missing or wrong: %v", bad, !ended)
	}
	return nil
}

// put notes a change; the zero time says that the id is gone.
func (s *snapshot) put(id string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[id] = 0
	if !until.IsZero() {
		s.pending[id] = until.Unix()
	}
}

// flush writes what is pending, if it is time to; with last at once. The larger
// the file, the longer it waits. If there is nothing and all is known to be as
// the file says, that is noted.
func (s *snapshot) flush(last, inTouch bool) error {
	s.mu.Lock()
	now := time.Now()
	if s.writing || !last && now.Before(s.next) {
		s.mu.Unlock()
		return nil
	}
	if len(s.pending) == 0 {
		s.next = now.Add(minPause)
		s.mu.Unlock()
		if !inTouch {
			return nil
		}
		if err := os.Chtimes(s.path, now, now); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	changes := s.pending
	s.pending = map[string]int64{}
	s.mu.Unlock()

	err := s.merge(changes, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Now().Add(max(minPause, 50*time.Since(now)))
	if err != nil {
		s.giveBack(changes)
	}
	return err
}

// giveBack keeps changes for the next time, unless there is something newer. mu is
// held.
func (s *snapshot) giveBack(changes map[string]int64) {
	for id, end := range changes {
		if _, ok := s.pending[id]; !ok {
			s.pending[id] = end
		}
	}
}

func (s *snapshot) merge(changes map[string]int64, now time.Time) error {
	w, err := s.create()
	if err != nil {
		return err
	}
	defer w.abort()
	if f, err := os.Open(s.path); err == nil {
		// What of it is damaged was said when it was loaded.
		_ = lines(f, func(end int64, id string) {
			if _, ok := changes[id]; !ok && end > now.Unix() {
				w.line(id, end)
			}
		})
		f.Close()
	}
	for id, end := range changes {
		if end > now.Unix() {
			w.line(id, end)
		}
	}
	return w.finish()
}

// begin starts a file that replaces the old one, and with it what is pending from
// before, unless it comes to nothing; what comes from now on is put into it later.
func (s *snapshot) begin() (*writer, error) {
	w, err := s.create()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = true
	w.whole = true
	w.before, s.pending = s.pending, map[string]int64{}
	return w, nil
}

func (s *snapshot) create() (*writer, error) {
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".new-") // mode 0600
	if err != nil {
		return nil, err
	}
	w := &writer{s: s, f: f, out: bufio.NewWriterSize(f, 64<<10)}
	_, _ = w.out.WriteString(firstLine + "\n")
	return w, nil
}

// A writer is a new file.
type writer struct {
	s     *snapshot
	f     *os.File // nil when it is done with
	out   *bufio.Writer
	n     int
	whole bool // not made of the old one
	// before is what was pending when a whole one was begun.
	before map[string]int64
}

func (w *writer) add(id string, until time.Time) { w.line(id, until.Unix()) }

// line's errors are seen by finish, which flushes.
func (w *writer) line(id string, end int64) {
	w.n++
	b := strconv.AppendInt(w.out.AvailableBuffer(), end, 10)
	b = append(b, ' ')
	b = strconv.AppendQuote(b, id)
	_, _ = w.out.Write(append(b, '\n'))
}

func (w *writer) commit() error {
	defer w.abort()
	err := w.finish()
	if err == nil {
		w.before = nil
	}
	return err
}

func (w *writer) finish() error {
	fmt.Fprintf(w.out, "end %d\n", w.n)
	err := w.out.Flush()
	if err == nil {
		err = w.f.Sync()
	}
	if err == nil {
		err = os.Rename(w.f.Name(), w.s.path)
	}
	if err != nil {
		return err
	}
	err = w.f.Close()
	w.f = nil
	return err
}

// abort takes an unfinished file away.
func (w *writer) abort() {
	if w.whole {
		w.s.mu.Lock()
		w.s.writing = false
		w.s.giveBack(w.before)
		w.before = nil
		w.s.mu.Unlock()
	}
	if w.f != nil {
		w.f.Close()
		_ = os.Remove(w.f.Name())
		w.f = nil
	}
}

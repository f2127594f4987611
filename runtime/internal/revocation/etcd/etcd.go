// Package etcd knows the revoked tokens that are kept in etcd: a key for each, in
// a folder, with a lease that ends when the token does.
//
// All are read at the start, as in WSO2 API Microgateway, and changes are watched
// from then on, so that a token whose key is put is refused at once. What
// surprises:
//
//   - What has been read stays revoked when etcd goes away, each id until its own
//     end. A connection that comes back goes on where it was; if etcd has
//     compacted what happened meanwhile, all is read again.
//   - The end of an id is its lease's, which is asked for after the id is known,
//     so that no revocation waits for it. If etcd does not say it, the id stays a
//     day: too long is harmless. It is asked once: a lease that is renewed later
//     ends, for a gateway that runs, when it would have.
//   - A key that is deleted before its time is forgotten by the next start. A
//     gateway that runs goes on refusing the token, which it may have from a
//     broker, too.
//   - With a snapshot file a gateway that starts without etcd knows what one
//     before it has known.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
	"github.com/microgw/microgw/runtime/internal/revocation/source"
)

const (
	workers     = 16                         // that ask for leases
	patient     = 2 * time.Second            // with leases, before the ids alone are read
	provisional = time.Hour                  // of an id whose lease is asked for when all ids have been read
	forSafety   = 24 * time.Hour             // of an id whose lease nobody tells
	forever     = 100 * 365 * 24 * time.Hour // of an id without a lease
	heartbeat   = 10 * time.Second
)

// Options for New. Zero values stand for none.
type Options struct {
	URL                string // of etcd, with the folder; several with commas between
	Username, Password string
	TLS                *tls.Config // whom to trust
	Snapshot           string      // path
	// Revoke is told of each id, perhaps several times; the latest end counts.
	Revoke func(id string, until, now time.Time) bool
	Log    *slog.Logger
}

// A Source is a folder of etcd. Make one with New, then Run it. Its messages are
// keys that were put or deleted after the first reading.
type Source struct {
	*source.Status
	o        Options
	c        *client
	prefixes []string // the folder, as it may be written; "" for none
	log      *slog.Logger
	snapshot *snapshot // nil: none
}

// New reads the options; it connects to nobody.
func New(o Options) (*Source, error) {
	endpoints, prefixes, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	name := "etcd " + strings.Join(endpoints, ", ")
	if prefixes[0] != "" {
		name += " " + prefixes[0]
	}
	s := &Source{Status: source.New(name), o: o, c: newClient(endpoints, o.Username, o.Password, o.TLS), prefixes: prefixes, log: o.Log}
	if o.Snapshot != "" {
		s.snapshot = newSnapshot(o.Snapshot)
	}
	return s, nil
}

// parse takes the URL apart. WSO2's is of etcd's second API, whose folder /jti is
// what a migration of etcd leaves as keys that begin with /jti/; who writes keys
// by hand leaves the first slash out.
func parse(raw string) (endpoints, prefixes []string, err error) {
	if strings.TrimSpace(raw) == "" {
		raw = "http://localhost:2379"
	}
	folder := ""
	for part := range strings.SplitSeq(raw, ",") {
		if part = strings.TrimSpace(part); !strings.Contains(part, "://") {
			part = "http://" + part
		}
		u, err := url.Parse(part)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			return nil, nil, errors.New("not a URL of etcd, such as https://localhost:2379/v2/keys/jti/")
		}
		host := u.Host
		if u.Port() == "" {
			host = strings.TrimSuffix(host, ":") + ":2379"
		}
		endpoints = append(endpoints, u.Scheme+"://"+host)
		path := u.Path
		if rest, ok := strings.CutPrefix(path, "/v2/keys"); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
		if path = strings.Trim(path, "/"); path != "" {
			folder = path
		}
	}
	if folder == "" {
		return endpoints, []string{""}, nil
	}
	return endpoints, []string{"/" + folder + "/", folder + "/"}, nil
}

// id returns what a key names. Without a folder only keys that are in none count:
// etcd may hold other things.
func (s *Source) id(key string) (string, bool) {
	for _, p := range s.prefixes {
		id, ok := strings.CutPrefix(key, p)
		if p == "" {
			id = strings.TrimPrefix(id, "/")
			ok = !strings.Contains(id, "/")
		}
		if ok {
			return id, id != "" && len(id) <= message.MaxID
		}
	}
	return "", false
}

func (s *Source) spans() (all []span) {
	for _, p := range s.prefixes {
		if p == "" {
			all = append(all, span{"\x00", "\x00"}) // every key
			continue
		}
		all = append(all, span{p, p[:len(p)-1] + "0"}) // "0" comes after "/"
	}
	return all
}

// Run reads and watches until ctx is done.
func (s *Source) Run(ctx context.Context) {
	defer s.SetTried()
	if s.snapshot != nil {
		s.readSnapshot()
		defer func() { s.flush(true) }()
	}
	name := s.State().Source
	s.log.Info("[EtcdUtil] [-] One time ETCD revoked token retriever task initiated", "source", name)
	var known []*watched // nil: nothing is
	var complaint source.Complaint
	var retry source.Backoff
	away := 0 // addresses, one after the other, at which nobody was
	for ctx.Err() == nil {
		retry.Begin()
		err := s.follow(ctx, &known, func(n int) {
			if n >= 0 {
				s.log.Info("[TokenRevocationETCDUtil] [-] revoked tokens were read", "source", name, "tokens", n)
			}
			s.SetTried()
		}, func() {
			if complaint.Settle() {
				s.log.Info("[TokenRevocationETCDUtil] [-] connection to etcd is restored", "source", name)
			}
			s.Up()
		})
		if ctx.Err() != nil {
			return
		}
		s.SetTried()
		s.c.fail()
		was := s.Down(err)
		switch {
		case errors.Is(err, errCompacted):
			s.log.Info("[TokenRevocationETCDUtil] [-] etcd has compacted its history; everything is read again", "source", name)
			known = nil
		case was:
			complaint.Due(err)
			s.log.Warn("[TokenRevocationETCDUtil] [-] connection to etcd is lost; what is known stays revoked", "source", name, "error", err)
		case complaint.Due(err):
			s.log.Warn("[TokenRevocationETCDUtil] [-] revoked tokens cannot be read from etcd; it is tried again and again", "source", name, "error", err)
		}
		patience := source.LastRetry
		if away++; !source.Away(err) {
			away = 0
		} else if away >= len(s.c.endpoints) {
			patience = source.LastAway
		}
		if !retry.Pause(ctx, patience) {
			return
		}
	}
}

// follow reads everything, if nothing is known, and then watches. It returns why
// it cannot any more; *known says where to go on.
func (s *Source) follow(ctx context.Context, known *[]*watched, read func(int), watching func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	var complete atomic.Bool
	complete.Store(true)
	var later unended
	late := newPuts(s)
	defer func() {
		cancel(nil)
		wg.Wait()
		later.keep(s)
		if !late.end() || !complete.Load() {
			*known = nil // the ends of some ids are not
		}
	}()
	if *known == nil {
		all, n, err := s.readAll(ctx, &later)
		if err != nil {
			return err
		}
		*known = all
		read(n)
		complete.Store(false)
		// What is put from now on belongs into the new file, and nothing from before.
		var w *writer
		if s.snapshot != nil {
			if w, err = s.snapshot.begin(); err != nil {
				s.snapshotFailed(err)
			}
		}
		// The leases may be many. What is put meanwhile is heard of all the same.
		at := all[0].revision
		spans := make([]span, 0, len(all))
		for _, w := range all {
			spans = append(spans, w.span)
		}
		wg.Go(func() {
			if err := s.readEnds(ctx, spans, at, w, &later); err != nil {
				cancel(err)
				return
			}
			complete.Store(true)
			s.log.Debug("[TokenRevocationETCDUtil] [-] it is known when each of them ends")
		})
	} else {
		read(-1)
	}
	first := (*known)[0].first
	wg.Go(func() {
		if err := late.run(ctx); err != nil {
			cancel(err)
		}
	})
	wg.Go(func() { late.keep(ctx) })
	wg.Go(func() { // a connection may be dead without anybody having hung up
		t := time.NewTicker(heartbeat)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if err := s.c.alive(ctx, first); err != nil && ctx.Err() == nil {
					cancel(err)
				}
				s.flush(false)
			}
		}
	})
	return s.c.watch(ctx, *known, watching, func(e event) error { return s.changed(e, late) })
}

// readAll takes in all ids. For as long as that does not take long it asks for
// their ends at once; later has those of which it has not. A spelling of the
// folder that the user may not read is left out, if there is another.
func (s *Source) readAll(ctx context.Context, later *unended) (all []*watched, n int, err error) {
	var revision int64
	began := time.Now()
	spans := s.spans()
	for i, sp := range spans {
		at, err := s.c.list(ctx, sp, revision, func(page []keyValue) error {
			s.Step()
			var ends []time.Time
			if time.Since(began) < patient {
				quick, cancel := context.WithTimeout(ctx, patient)
				var err error
				if ends, err = s.ends(quick, page); err != nil {
					ends = nil // later
				}
				cancel()
				s.Step()
			}
			now := time.Now()
			var without ids
			for i, kv := range page {
				id, ok := s.id(string(kv.Key))
				if !ok {
					continue
				}
				n++
				if ends != nil {
					s.o.Revoke(id, ends[i], now)
				} else {
					s.o.Revoke(id, now.Add(provisional), now)
					without.add(id)
				}
			}
			later.add(without)
			return nil
		})
		if denied(err) && len(all)+len(spans)-1-i > 0 {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		revision = at
		all = append(all, &watched{sp, at})
	}
	return all, n, nil
}

// readEnds goes through the same keys once more, for their leases, and makes the
// snapshot anew, if there is one.
func (s *Source) readEnds(ctx context.Context, spans []span, revision int64, w *writer, later *unended) (err error) {
	if w != nil {
		defer w.abort()
	}
	// If it takes so long that what has been read would be let in before its turn.
	slow := time.AfterFunc(provisional/2, func() { later.keep(s) })
	defer slow.Stop()
	for _, sp := range spans {
		if _, err = s.c.list(ctx, sp, revision, func(page []keyValue) error {
			ends, err := s.ends(ctx, page)
			now := time.Now()
			for i, kv := range page {
				if id, ok := s.id(string(kv.Key)); ok && ends[i].After(now) {
					s.o.Revoke(id, ends[i], now)
					if w != nil && err == nil {
						w.add(id, ends[i])
					}
				}
			}
			if err == nil {
				later.done()
			}
			return err
		}); err != nil {
			return err
		}
	}
	if w != nil {
		if err := w.commit(); err != nil {
			s.snapshotFailed(err)
		}
	}
	return nil
}

// ends asks for the leases of a page. Also with an error there is an end for each
// key, which may be too late.
func (s *Source) ends(ctx context.Context, page []keyValue) ([]time.Time, error) {
	now := time.Now()
	byLease := map[int64]*time.Time{}
	var leases []int64
	for _, kv := range page {
		if kv.Lease != 0 && byLease[kv.Lease] == nil {
			end := now.Add(forSafety)
			byLease[kv.Lease] = &end
			leases = append(leases, kv.Lease)
		}
	}
	next := make(chan int64)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range min(workers, len(leases)) {
		wg.Go(func() {
			for lease := range next {
				mu.Lock()
				stop := failed != nil
				mu.Unlock()
				if stop {
					continue
				}
				ttl, err := s.c.ttl(ctx, lease)
				if err != nil {
					mu.Lock()
					failed = fmt.Errorf("lease: %w", err)
					mu.Unlock()
					continue
				}
				// A second more: etcd counts whole ones.
				*byLease[lease] = time.Now().Add(ttl + time.Second)
			}
		})
	}
	for _, lease := range leases {
		next <- lease
	}
	close(next)
	wg.Wait()
	all := make([]time.Time, len(page))
	for i, kv := range page {
		if all[i] = now.Add(forever); kv.Lease != 0 {
			all[i] = *byLease[kv.Lease]
		}
	}
	return all, failed
}

// changed takes in a change.
func (s *Source) changed(e event, late *puts) error {
	id, ok := s.id(string(e.KV.Key))
	if !ok {
		return nil
	}
	s.Heard()
	if e.Type == "DELETE" {
		late.gone(id)
		return nil
	}
	s.log.Debug("[TokenRevocationETCDUtil] [-] a token was revoked in etcd")
	return late.add(id, e.KV)
}

func (s *Source) readSnapshot() {
	now := time.Now()
	n := 0
	at, err := s.snapshot.load(now, func(id string, until time.Time) {
		n++
		s.o.Revoke(id, until, now)
	})
	if err != nil {
		s.log.Warn("[TokenRevocationETCDUtil] [-] the file of revoked tokens cannot be read whole", "path", s.o.Snapshot, "error", err, "tokens", n)
	}
	if !at.IsZero() {
		s.Update(func(st *source.State) { st.Snapshot = at })
		s.log.Info("[TokenRevocationETCDUtil] [-] revoked tokens were read from a file", "path", s.o.Snapshot, "tokens", n, "age", now.Sub(at).Round(time.Second).String())
	}
}

func (s *Source) flush(last bool) {
	if s.snapshot == nil {
		return
	}
	if err := s.snapshot.flush(last, s.State().Connected); err != nil {
		s.snapshotFailed(err)
	}
}

func (s *Source) snapshotFailed(err error) {
	s.log.Warn("[TokenRevocationETCDUtil] [-] the file of revoked tokens cannot be written", "path", s.o.Snapshot, "error", err)
}

// Command bench measures what the runtime costs, beside nginx and HAProxy doing
// the same plain proxying, and writes docs/performance.md.
//
// The figure is user and system CPU time per request, read from /proc, as a
// ratio to nginx within the same few seconds: every candidate stays up during
// the whole run, and a sample of it is taken between two samples of the
// reference. So it holds on a machine that has other things to do and drifts
// while measuring, and whether or not the proxy was the bottleneck. Requests a
// second do neither.
//
// Proxies run on core 0, one thread each, upstream and load generator on
// core 1. Everything is on 127.0.0.1 and ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type options struct {
	root        string
	rounds      int
	seconds     int
	connections int
	operations  int
	idle        int
	write       bool
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "`folder` of the repository")
	flag.IntVar(&o.rounds, "rounds", 9, "samples of each candidate")
	flag.IntVar(&o.seconds, "seconds", 2, "length of a sample")
	flag.IntVar(&o.connections, "connections", 64, "connections of the load generator")
	flag.IntVar(&o.operations, "operations", 609, "operations of the large API")
	flag.IntVar(&o.idle, "idle", 2000, "idle connections to measure memory with")
	flag.BoolVar(&o.write, "write", true, "write docs/performance.md")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.seconds < 1 || o.connections < 1 || o.operations < 1 || o.idle < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	if err := needPrograms("nginx", "wrk", "taskset"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "micro-gw-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// nginx gives up root for its workers.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	b := &bench{options: o, root: root, dir: dir, ctx: ctx}
	defer func() { err = errors.Join(err, b.stop()) }()
	return b.run()
}

// A bench is one run: what is up, and what was found out.
type bench struct {
	options
	root, dir string
	ctx       context.Context

	running []*server // in the order of their start
	result  result
}

func (b *bench) run() error {
	if err := b.prepare(); err != nil {
		return err
	}
	issued, err := newTokens(b.dir)
	if err != nil {
		return err
	}
	token, publicKey := issued.good, issued.publicKey

	upstream, err := b.nginx("upstream", func(port int) string { return upstreamConf(b.dir, port) })
	if err != nil {
		return err
	}
	if err := b.start(upstream, loadCore); err != nil {
		return err
	}

	b.progress("building projects")
	plainAPI, err := b.project("plain", definition(upstream.port, 1, false))
	if err != nil {
		return err
	}
	largeAPI, err := b.project("large", definition(upstream.port, b.operations, false))
	if err != nil {
		return err
	}
	securedAPI, err := b.project("secured", definition(upstream.port, 1, true))
	if err != nil {
		return err
	}
	hugeAPI, err := b.project("huge", definition(upstream.port, 1000, true))
	if err != nil {
		return err
	}

	reference, err := b.nginx("nginx", func(port int) string { return proxyConf(b.dir, port, upstream.port) })
	if err != nil {
		return err
	}
	plain, err := b.runtime("plain", plainAPI, runtimeConf{})
	if err != nil {
		return err
	}
	secured, err := b.runtime("JWT", securedAPI, runtimeConf{publicKey: publicKey, accessLog: true, cache: true})
	if err != nil {
		return err
	}
	cold, err := b.runtime("JWT, no cache", securedAPI, runtimeConf{publicKey: publicKey, accessLog: true})
	if err != nil {
		return err
	}
	large, err := b.runtime(fmt.Sprintf("plain, %d operations", b.operations), largeAPI, runtimeConf{})
	if err != nil {
		return err
	}
	secured.header = "Authorization: Bearer " + token
	cold.header = secured.header

	pairs := []pair{{plain, reference}, {secured, reference}, {cold, reference}, {large, plain}}
	if haproxy, err := b.haproxy(upstream.port); err != nil {
		return err
	} else if haproxy != nil {
		pairs = append([]pair{{haproxy, reference}}, pairs...)
	}

	mutual, overTLS, err := b.secure(upstream.port, issued)
	if err != nil {
		return err
	}
	pairs = append(pairs, pair{overTLS, reference}, pair{mutual, overTLS})

	b.progress("measuring start-up")
	if err := b.startUps(plainAPI, hugeAPI, publicKey, token); err != nil {
		return err
	}

	if err := b.start(reference, proxyCore); err != nil {
		return err
	}
	for _, p := range pairs {
		if err := b.start(p.candidate, proxyCore); err != nil {
			return err
		}
	}
	if b.result.revocation {
		if err := refuses(mutual, issued.revoked); err != nil {
			return err
		}
	}
	for _, s := range append([]*server{reference}, candidates(pairs)...) {
		if s.idleRSS, err = rss(s.pid()); err != nil {
			return err
		}
		// Not counted: connections to the upstream, caches, page faults.
		warm, err := b.sample(s, 1)
		if err != nil {
			return err
		}
		if warm.errors > 0 {
			return fmt.Errorf("%s: %d of %d answers were errors\n%s", s.name, warm.errors, warm.requests, s.log())
		}
		s.samples = nil
	}
	err = b.measure(pairs, func() error {
		// In turn with the samples that it is compared to: the machine's speed
		// changes from one minute to the next.
		alone := verifyAlone(token, publicKey)
		if alone == 0 {
			return errors.New("the token for the bench is not good")
		}
		b.result.alone = append(b.result.alone, alone)
		last := func(s *server) float64 { return s.samples[len(s.samples)-1].micros() }
		b.result.fresh = append(b.result.fresh, (last(cold)-last(secured))/alone)
		return nil
	})
	if err != nil {
		return err
	}

	b.progress("measuring the heap")
	if err := b.heap(secured); err != nil {
		return err
	}
	// After the heap, for it leaves much to collect.
	b.progress("measuring good requests beside forged tokens")
	if err := b.floods(secured, token, b.rounds); err != nil {
		return err
	}
	b.progress("measuring idle connections and builds")
	if err := b.idleConnections(plainAPI); err != nil {
		return err
	}
	if err := b.builds(); err != nil {
		return err
	}
	b.result.reference = reference
	b.result.plain, b.result.secured, b.result.cold, b.result.large = plain, secured, cold, large
	b.result.mutual, b.result.pairs = mutual, pairs
	return b.report()
}

func candidates(pairs []pair) (list []*server) {
	for _, p := range pairs {
		list = append(list, p.candidate)
	}
	return list
}

// heap measures what requests allocate, over connections that stay: a new
// connection does allocate, and the rounds open new ones each time.
func (b *bench) heap(s *server) error {
	samples := s.samples
	defer func() { s.samples = samples }()
	before := s.allocated()
	long, err := b.sample(s, 20)
	if err != nil {
		return err
	}
	b.result.allocated, b.result.allocators = s.allocated()-before, long.requests
	return nil
}

// measure takes the samples in turn: reference, candidate, reference. between
// is called after each round.
func (b *bench) measure(pairs []pair, between func() error) error {
	for round := range b.rounds {
		b.progress(fmt.Sprintf("round %d of %d", round+1, b.rounds))
		for _, p := range pairs {
			before, err := b.sample(p.reference, b.seconds)
			if err != nil {
				return err
			}
			x, err := b.sample(p.candidate, b.seconds)
			if err != nil {
				return err
			}
			after, err := b.sample(p.reference, b.seconds)
			if err != nil {
				return err
			}
			p.candidate.ratios = append(p.candidate.ratios, x.micros()/((before.micros()+after.micros())/2))
		}
		if err := between(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) progress(what string) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format("15:04:05"), what)
}

func needPrograms(names ...string) error {
	var missing []string
	for _, name := range names {
		if lookPath(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s not found; on Debian: apt-get install nginx haproxy wrk", strings.Join(missing, ", "))
	}
	return nil
}

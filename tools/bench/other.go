package main

import (
	"compress/gzip"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// startUps measures the time from starting the process to the first request
// served, as the median of a few.
func (b *bench) startUps(petstore, huge, publicKey, token string) error {
	for _, x := range []struct {
		artifact string
		secured  bool
		result   *time.Duration
	}{
		{petstore, false, &b.result.boot},
		{huge, true, &b.result.bootHuge},
	} {
		var times []time.Duration
		for range 9 {
			s, err := b.runtime("start-up", x.artifact, runtimeConf{publicKey: publicKey, cache: true})
			if err != nil {
				return err
			}
			if x.secured {
				s.header = "Authorization: Bearer " + token
			}
			if err := b.launch(s, proxyCore); err != nil {
				return err
			}
			d, err := b.untilServing(s)
			if stopErr := end(s); err == nil {
				err = stopErr
			}
			if err != nil {
				return err
			}
			times = append(times, d)
		}
		*x.result = median(times)
	}
	return nil
}

// idleConnections measures what a connection costs that has served a request
// and waits for the next.
func (b *bench) idleConnections(artifact string) error {
	s, err := b.runtime("idle", artifact, runtimeConf{})
	if err != nil {
		return err
	}
	if err := b.start(s, proxyCore); err != nil {
		return err
	}
	conns := make([]net.Conn, 0, b.idle)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	open := func(n int) error {
		for range n {
			c, err := net.Dial("tcp", address(s.port))
			if err != nil {
				return err
			}
			conns = append(conns, c)
			if err := exchange(c, s); err != nil {
				return err
			}
		}
		return nil
	}
	// Some first, so that what is needed once is not counted.
	if err := open(50); err != nil {
		return err
	}
	before, err := rss(s.pid())
	if err != nil {
		return err
	}
	if err := open(b.idle); err != nil {
		return err
	}
	// Buffers are given back a moment after the last request.
	time.Sleep(2 * time.Second)
	after, err := rss(s.pid())
	if err != nil {
		return err
	}
	b.result.perConnection = float64(after-before) / float64(b.idle)
	return nil
}

// builds measures the toolkit: the petstore that init makes, and the GitHub
// description where it lies beside the repository.
func (b *bench) builds() error {
	if err := b.microgw("init", "petstore"); err != nil {
		return err
	}
	measure := func(project string) (time.Duration, error) {
		var times []time.Duration
		for range 3 {
			started := time.Now()
			if err := b.microgw("build", project, "--default-endpoint", "http://127.0.0.1:1"); err != nil {
				return 0, err
			}
			times = append(times, time.Since(started))
		}
		return median(times), nil
	}
	var err error
	if b.result.buildPetstore, err = measure("petstore"); err != nil {
		return err
	}
	packed, err := os.Open(filepath.Join(b.root, "..", "shared", "corpus", "github", "api.github.com.json.gz"))
	if err != nil {
		return nil // not there: not measured
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "github.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return err
	}
	if err := b.microgw("init", "github", "-a", file); err != nil {
		return err
	}
	b.result.buildGitHub, err = measure("github")
	return err
}

// processCPU returns the CPU time of this process.
func processCPU() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

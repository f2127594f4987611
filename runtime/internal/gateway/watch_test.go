package gateway

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.mgw")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(path, "one")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int32
		done := make(chan struct{})
		go func() {
			defer close(done)
			watch(ctx, []string{path}, identifyAll([]string{path}), func() { calls.Add(1) })
		}()
		expect := func(when string, periods int, want int) {
			t.Helper()
			time.Sleep(time.Duration(periods) * watchPeriod)
			synctest.Wait()
			if got := int(calls.Load()); got != want {
				t.Fatalf("%s: %d calls, want %d", when, got, want)
			}
		}
		time.Sleep(time.Millisecond) // between the ticks
		expect("nothing happened", 5, 0)

		put(path, "three")
		expect("changed in place", 1, 0)
		put(path, "three, four")
		expect("still changing", 1, 0)
		expect("kept still", 1, 1)
		expect("and on", 5, 1)

		put(filepath.Join(dir, "next"), "three, FOUR") // the same size
		if err := os.Rename(filepath.Join(dir, "next"), path); err != nil {
			t.Fatal(err)
		}
		expect("replaced", 2, 2)

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("removed", 5, 2)
		put(path, "five")
		expect("back again", 2, 3)

		cancel()
		<-done
	})
}

// Files that are read together, as Kubernetes replaces them: all at once, by a
// symbolic link to the folder they are in.
func TestWatchLinks(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"..1", "..2"} {
		must(os.Mkdir(filepath.Join(dir, version), 0o700))
		for _, name := range []string{"tls.crt", "tls.key"} {
			must(os.WriteFile(filepath.Join(dir, version, name), []byte("the same length"), 0o600))
		}
	}
	must(os.Symlink("..1", filepath.Join(dir, "..data")))
	var paths []string
	for _, name := range []string{"tls.crt", "tls.key"} {
		paths = append(paths, filepath.Join(dir, name))
		must(os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int32
		done, last := make(chan struct{}), identifyAll(paths)
		go func() {
			defer close(done)
			watch(ctx, paths, last, func() { calls.Add(1) })
		}()
		must(os.Symlink("..2", filepath.Join(dir, "..new")))
		must(os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
		time.Sleep(10 * watchPeriod)
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
		cancel()
		<-done
	})
}

func TestMemoryLimit(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, want int64) {
		t.Helper()
		if got := cgroupLimit(root); got != want {
			t.Errorf("%s: %d, want %d", when, got, want)
		}
	}
	expect("no /proc", 0)
	put("proc/self/cgroup", "0::/a/b\n")
	expect("no limits", 0)
	put("sys/fs/cgroup/a/b/memory.max", "max\n")
	expect("max", 0)
	put("sys/fs/cgroup/a/memory.max", "1000000\n")
	expect("of the parent", 1000000)
	put("sys/fs/cgroup/a/b/memory.max", "2000000\n")
	expect("the least", 1000000)
	put("sys/fs/cgroup/memory.max", "500000\n") // of a container's namespace
	expect("of the root", 500000)
	if got := limitMemory(func(string) string { return "100MiB" }, root); got != 0 {
		t.Errorf("although GOMEMLIMIT is set: %d", got)
	}
}

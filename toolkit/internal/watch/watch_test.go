package watch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/toolkit/internal/watch"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestState(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "shared.yaml")
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("a.yaml"), "a")
	write(t, in("sub/b.yaml"), "b")
	set := watch.Set{Dir: dir, Skip: []string{"target"}, Files: []string{outside}}
	for _, step := range []struct {
		name    string
		do      func() error
		changes bool
	}{
		{"nothing", func() error { return nil }, false},
		{"edit", func() error { return os.WriteFile(in("sub/b.yaml"), []byte("bb"), 0o644) }, true},
		{"touch", func() error { return os.Chtimes(in("a.yaml"), time.Time{}, time.Unix(1, 0)) }, true},
		{"new file", func() error { return os.WriteFile(in("c.yaml"), nil, 0o644) }, true},
		{"rename", func() error { return os.Rename(in("c.yaml"), in("d.yaml")) }, true},
		{"remove", func() error { return os.Remove(in("d.yaml")) }, true},
		{"skipped folder", func() error { write(t, in("target/x.mgw"), "x"); return nil }, false},
		{"skipped folder below", func() error { write(t, in("sub/target/x.mgw"), "x"); return nil }, false},
		{"file outside", func() error { return os.WriteFile(outside, []byte("s"), 0o644) }, true},
		{"link", func() error { return os.Symlink(outside, in("link.yaml")) }, true},
		{"behind the link", func() error { return os.WriteFile(outside, []byte("long"), 0o644) }, true},
		{"all gone", func() error { return os.RemoveAll(dir) }, true},
	} {
		before := set.State()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := set.State() != before; got != step.changes {
			t.Errorf("%s: changed = %v, want %v", step.name, got, step.changes)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "a")
		write(t, path, "1")
		set := watch.Set{Dir: dir}
		start := set.State()

		// Three edits, 0.7 s apart, seen by looking every second: reported
		// once, when all is quiet.
		begin := time.Now()
		go func() {
			for _, content := range []string{"22", "333", "4444"} {
				time.Sleep(700 * time.Millisecond)
				_ = os.WriteFile(path, []byte(content), 0o644)
			}
		}()
		state, err := set.Wait(t.Context(), start, time.Second)
		if err != nil || state == start {
			t.Fatalf("state changed: %v, error %v", state != start, err)
		}
		if got := time.Since(begin); got != 4*time.Second {
			t.Errorf("reported after %s, want 4s", got)
		}

		// An edit that was taken back is none.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		extra := filepath.Join(dir, "b")
		write(t, extra, "")
		go func() {
			time.Sleep(500 * time.Millisecond)
			_ = os.Remove(extra)
		}()
		if _, err := set.Wait(ctx, state, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

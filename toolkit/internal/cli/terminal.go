package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

// A terminal is standard error, and what is known of who reads it.
type terminal struct {
	io.Writer
	interactive bool // a person sees it now: progress makes sense
	colour      bool
}

func newTerminal(w io.Writer) terminal {
	f, ok := w.(*os.File)
	if !ok {
		return terminal{Writer: w}
	}
	info, err := f.Stat()
	interactive := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	// https://no-color.org: present and not empty.
	return terminal{w, interactive, interactive && os.Getenv("NO_COLOR") == ""}
}

const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	faint  = "\x1b[2m"
	plain  = "\x1b[0m"
)

// diagnostics prints a list, each line beginning with the command's name.
func (t terminal) diagnostics(list diag.List, command string) {
	var b bytes.Buffer
	// Writing to a buffer and to standard error: there is nowhere left to
	// complain.
	if !t.colour {
		_ = list.WriteText(t, command)
		return
	}
	for _, d := range list.Fold() {
		colour := faint
		switch d.Severity {
		case diag.Error:
			colour = red
		case diag.Warning:
			colour = yellow
		}
		b.Reset()
		_ = diag.List{d}.WriteText(&b, command)
		head, hint, _ := strings.Cut(b.String(), "\n")
		fmt.Fprintf(t, "%s%s:%s%s\n", colour, command, plain, strings.TrimPrefix(head, command+":"))
		if hint != "" {
			fmt.Fprintf(t, "%s%s%s\n", faint, strings.TrimSuffix(hint, "\n"), plain)
		}
	}
}

// patience is how long something may take before it is worth a word.
const patience = 500 * time.Millisecond

// progress shows that what is being done goes on, if it takes long and somebody
// watches, until the returned function is called.
func (t terminal) progress(what string) (done func()) {
	_, done = t.counted(what, "")
	return done
}

// counted is progress that also shows how many of several things are done, once
// it is told: "building shop: 12 of 200 definitions ... 3 s".
func (t terminal) counted(what, things string) (update func(done, of int), done func()) {
	if !t.interactive {
		return func(int, int) {}, func() {}
	}
	var finished, all atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	start := time.Now()
	wg.Go(func() {
		wait := patience
		shown := false
		for {
			select {
			case <-stop:
				if shown {
					fmt.Fprint(t, "\r\x1b[K")
				}
				return
			case <-time.After(wait):
				text := what
				if of := all.Load(); of > 1 {
					text = fmt.Sprintf("%s: %d of %d %s", what, finished.Load(), of, things)
				}
				fmt.Fprintf(t, "\r\x1b[K%s ... %.0f s", text, time.Since(start).Seconds())
				shown, wait = true, patience/2
			}
		}
	})
	update = func(done, of int) {
		finished.Store(int64(done))
		all.Store(int64(of))
	}
	return update, sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
}

// printJSON prints v for programs.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return failed(err)
	}
	return nil
}

// count says how many: "1 API", "2 APIs".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// bytesize is a size for people.
func bytesize(n int64) string {
	switch {
	case n < 1<<10:
		return count(int(n), "byte", "bytes")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}

// duration is a time for people: three digits are enough.
func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

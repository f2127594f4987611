// Command corpus builds every OpenAPI document under some folders, each as a
// project of its own, and prints what became of them: a table by outcome and
// reason, the slowest, and those that took the most memory.
//
// A refusal is right if it says where: every error must have a position in the
// document. Anything else is a defect: a panic, a hang, an error without a
// place, too much memory, a file left behind by a refused build. The command
// fails on a single defect, and where fewer documents build than it is asked
// for.
//
// Each build is a process of its own, so that one document's memory is known
// and a crash takes nothing along. They run on all cores, the largest first.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

type options struct {
	bin    string
	jobs   int
	limit  time.Duration
	memory int64   // bytes
	floor  float64 // percent
	sample string
	report string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "../bin/micro-gw", "`path` of micro-gw")
	flag.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "builds at a time")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "longest time for one build")
	mib := flag.Int64("memory", 1024, "most memory for one build, in `MiB`")
	flag.Float64Var(&o.floor, "floor", 98, "`percent` of the documents that must build")
	flag.StringVar(&o.sample, "sample", "", "build only what a `file` names: a pattern a line, relative to the folders, with ! before it if it must be refused; all others must build")
	flag.StringVar(&o.report, "report", "", "write a line of JSON for each document to a `file`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: corpus [flags] FOLDER...")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.memory = *mib << 20
	if flag.NArg() == 0 || o.jobs < 1 {
		flag.Usage()
		os.Exit(2)
	}
	good, err := run(o, flag.Args(), os.Stdout, newProgress(os.Stderr))
	if err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
	if !good {
		os.Exit(1)
	}
}

// A document is a file of the corpus.
type document struct {
	name string // relative to its folder, with forward slashes
	path string
	size int64
	want Outcome // empty if either will do
}

// run builds everything and prints the report. It returns whether all is as it
// has to be.
func run(o options, folders []string, out io.Writer, p *progress) (good bool, err error) {
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return false, err
	}
	documents, err := find(folders)
	if err != nil {
		return false, err
	}
	if o.sample != "" {
		text, err := os.ReadFile(o.sample)
		if err != nil {
			return false, err
		}
		if documents, err = choose(documents, string(text)); err != nil {
			return false, fmt.Errorf("%s: %w", o.sample, err)
		}
	}
	if len(documents) == 0 {
		return false, fmt.Errorf("no documents in %s", strings.Join(folders, ", "))
	}
	tmp, err := os.MkdirTemp("", "corpus")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	// The largest first: a large one at the end would keep one core busy alone.
	order := slices.Clone(documents)
	slices.SortStableFunc(order, func(a, b document) int { return cmp.Compare(b.size, a.size) })
	queue := make(chan document)
	results := make(chan result)
	var workers sync.WaitGroup
	for i := range o.jobs {
		dir := filepath.Join(tmp, fmt.Sprint(i))
		workers.Go(func() {
			for d := range queue {
				results <- o.build(d, dir)
			}
		})
	}
	started := time.Now()
	go func() {
		for _, d := range order {
			queue <- d
		}
		close(queue)
		workers.Wait()
		close(results)
	}()
	var all []result
	var built, defects int
	for r := range results {
		all = append(all, r)
		switch r.Outcome {
		case Built:
			built++
		case Defect:
			defects++
			p.say("%s: %s", r.Name, r.Reasons[0].Text)
		}
		p.show(len(all), len(documents), built, len(all)-built-defects, defects)
	}
	p.end()
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.Name, b.Name) })
	if o.report != "" {
		if err := writeReport(o.report, all); err != nil {
			return false, err
		}
	}
	percent := 100 * float64(built) / float64(len(all))
	print(out, all, time.Since(started), o)
	if percent < o.floor {
		fmt.Fprintf(out, "FAILED: %.2f %% are built, %g %% are wanted\n", percent, o.floor)
	}
	if defects > 0 {
		fmt.Fprintf(out, "FAILED: %d defects\n", defects)
	}
	return defects == 0 && percent >= o.floor, nil
}

// find lists the documents of the folders, sorted by name.
func find(folders []string) ([]document, error) {
	var documents []document
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			switch filepath.Ext(strings.TrimSuffix(file, ".gz")) {
			case ".yaml", ".yml", ".json":
			default:
				return nil
			}
			name, err := filepath.Rel(folder, file)
			if err != nil {
				return err
			}
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			documents = append(documents, document{name: filepath.ToSlash(name), path: file, size: info.Size()})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(documents, func(a, b document) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.path, b.path))
	})
	return documents, nil
}

// choose keeps the documents that a sample names, and says what must become of
// them; the last line that names a document counts. A line that names none is an
// error: the sample would get smaller without anyone noticing.
func choose(documents []document, sample string) ([]document, error) {
	number := 0
	for line := range strings.Lines(sample) {
		number++
		pattern, _, _ := strings.Cut(line, "#")
		pattern, refused := strings.CutPrefix(strings.TrimSpace(pattern), "!")
		pattern = strings.TrimSpace(pattern)
		if pattern == "" {
			continue
		}
		want := Built
		if refused {
			want = Refused
		}
		found := false
		for i, d := range documents {
			ok, err := path.Match(pattern, d.name)
			if err != nil {
				return nil, fmt.Errorf("line %d: %q is not a pattern", number, pattern)
			}
			if ok {
				documents[i].want, found = want, true
			}
		}
		if !found {
			return nil, fmt.Errorf("line %d: there is no document %q", number, pattern)
		}
	}
	var chosen []document
	for _, d := range documents {
		if d.want != "" {
			chosen = append(chosen, d)
		}
	}
	return chosen, nil
}

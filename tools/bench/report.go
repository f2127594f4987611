package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what a run found out. A zero means that it was not measured.
type result struct {
	pairs                       []pair
	reference                   *server
	plain, secured, cold, large *server
	mutual                      *server

	alone          []float64 // microseconds of one RS256 check, by round
	fresh          []float64 // what a fresh token costs, in checks alone, by round
	flood          flood
	revocation     bool      // mutual looks up revoked tokens
	floodRate      []float64 // requests a second of the others, by measurement
	perConnection  float64   // bytes
	allocated      int64     // bytes, by secured, for allocators requests
	allocators     int
	boot, bootHuge time.Duration
	buildPetstore  time.Duration
	buildGitHub    time.Duration
}

// A budget is a promise of the design and what became of it.
type budget struct {
	what, limit string
	got         string
	met         bool
}

func (r *result) budgets() []budget {
	var list []budget
	add := func(what string, got, limit float64, format string) {
		b := budget{what: what, limit: "at most " + fmt.Sprintf(format, limit), got: "not measured"}
		if got > 0 {
			b.got, b.met = fmt.Sprintf(format, got), got <= limit
		}
		list = append(list, b)
	}
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	add("CPU per request, plain, nginx plain proxying = 1", median(r.plain.ratios), 0.85, "%.2f")
	add("CPU per request with JWT (RS256, cached), scope, counters and access log, nginx plain proxying = 1", median(r.secured.ratios), 0.95, "%.2f")
	add(fmt.Sprintf("a token never seen before, the signature check alone (%.0f µs) = 1", median(r.alone)), median(r.fresh), 1.3, "%.2f")
	// Nothing on the heap is smaller than 8 bytes, so less than that a request
	// is none at all and something else once in a while.
	allocated := float64(r.allocated) / float64(max(1, r.allocators))
	list = append(list, budget{"heap allocated per request on that path", "0 bytes",
		fmt.Sprintf("%.0f bytes (of %d requests)", allocated, r.allocators), r.allocators > 0 && allocated < 8})
	add("CPU per request with many operations, with one = 1", median(r.large.ratios), 1.05, "%.2f")
	secure := 0.0
	if r.revocation {
		secure = median(r.mutual.ratios)
	}
	add("CPU per request with mutual TLS and revocation, TLS alone = 1", secure, 1.03, "%.2f")
	add(fmt.Sprintf("p99 of good requests beside 5,000 forged tokens a second, alone (%.0f µs) = 1", median(r.flood.alone)), r.flood.ratio(), 2, "%.2f")
	add("start to first request served, one operation", millis(r.boot), 50, "%.0f ms")
	add("start to first request served, 1,000 operations", millis(r.bootHuge), 1000, "%.0f ms")
	add("resident memory, idle", float64(r.secured.idleRSS)/(1<<20), 20, "%.1f MiB")
	add("resident memory for each idle connection", r.perConnection/1024, 16, "%.1f KiB")
	add("build, petstore", millis(r.buildPetstore), 300, "%.0f ms")
	add("build, GitHub REST description", millis(r.buildGitHub), 5000, "%.0f ms")
	return list
}

// ratio is what the forged tokens make of the latency, as the median of the
// rounds.
func (f flood) ratio() float64 {
	var ratios []float64
	for i := range f.forged {
		ratios = append(ratios, f.forged[i]/f.alone[i])
	}
	return median(ratios)
}

func (b budget) verdict() string {
	switch {
	case b.got == "not measured":
		return ""
	case b.met:
		return "met"
	}
	return "**not met**"
}

// report prints the figures and writes docs/performance.md.
func (b *bench) report() error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range b.rows() {
		fmt.Fprintln(table, strings.Join(row, "\t")+"\t")
	}
	table.Flush()
	fmt.Println()
	table = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, x := range b.result.budgets() {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", strings.Trim(x.verdict(), "*"), x.got, x.limit, x.what)
	}
	table.Flush()
	if !b.write {
		return nil
	}
	return os.WriteFile(filepath.Join(b.root, "docs", "performance.md"), b.markdown(), 0o644)
}

// rows returns the table of the candidates, with its head.
func (b *bench) rows() [][]string {
	rows := [][]string{{"", "CPU µs/request", "ratio", "quartiles", "compared to", "requests/s", "RSS idle MiB", "under load", "errors"}}
	row := func(s *server, compared string) {
		var perSecond []float64
		failures := 0
		for _, x := range s.samples {
			perSecond = append(perSecond, x.perSecond())
			failures += x.errors
		}
		ratio, quartiles := "1", ""
		if len(s.ratios) > 0 {
			ratio = fmt.Sprintf("%.2f", median(s.ratios))
			quartiles = fmt.Sprintf("%.2f to %.2f", quantile(s.ratios, 0.25), quantile(s.ratios, 0.75))
		}
		rows = append(rows, []string{s.name, fmt.Sprintf("%.1f", median(micros(s))), ratio, quartiles, compared,
			fmt.Sprintf("%.0f", median(perSecond)), mib(s.idleRSS), mib(s.maxRSS), fmt.Sprint(failures)})
	}
	row(b.result.reference, "")
	for _, p := range b.result.pairs {
		row(p.candidate, p.reference.name)
	}
	return rows
}

func (b *bench) markdown() []byte {
	var s bytes.Buffer
	fmt.Fprintf(&s, `# Performance

Written by `+"`make bench`"+`; do not edit. %s, commit %s.

The figure that counts is user and system CPU time of the proxy per request, as the median of ratios to nginx doing plain
proxying on the same core in the same seconds. It says how much hardware a given traffic needs, and it holds on a busy machine;
requests a second do not, and are given for orientation.

`, time.Now().UTC().Format("2 January 2006"), b.commit())
	s.WriteString("## Candidates\n\n")
	for i, row := range b.rows() {
		s.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			s.WriteString("|---" + strings.Repeat("|---:", len(row)-1) + "|\n")
		}
	}
	s.WriteString(`
- nginx and HAProxy proxy, with kept connections, and add the fields that a proxy adds. They check nothing and log nothing.
- "plain" is the gateway with security disabled in the definition and no access log.
- "JWT" checks a token (RS256, 2048 bit, in the cache of verified tokens), a scope, counts, and writes an access log to a file.
- "no cache" verifies the signature anew for each request.
- "JWT, TLS" is "JWT" over TLS 1.3. "Mutual TLS, revocation" wants a client certificate as well, looks it up in the authority's list of
  revoked ones, and the token among 10,000 revoked ones from etcd. For both an nginx on the other core speaks TLS in place of the load generator.
`)
	f := b.result.flood
	fmt.Fprintf(&s, `
## A flood of forged tokens

| 2,000 good requests a second | p99, µs |
|---|---:|
| alone | %.0f |
| beside %.0f forged tokens a second, each another one, good but for the signature (RS256) | %.0f |
| beside as many good requests more | %.0f |

One processor for the gateway. The signature checks of half of a processor's time go on beside the good requests; how they take
turns is said in runtime/internal/turns.
`, median(f.alone), median(b.result.floodRate), median(f.forged), median(f.good))
	s.WriteString("\n## Budgets\n\n| | budget | reached | |\n|---|---:|---:|---|\n")
	for _, x := range b.result.budgets() {
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", x.what, x.limit, x.got, x.verdict())
	}
	fmt.Fprintf(&s, `
Heap allocations are told by the collections that they cause; less than the smallest object is none.

## How

`+"`GET %s`"+` answered with 1 KiB of JSON by nginx, on loopback. wrk with %d connections and the upstream run on one core, the
proxy, with one thread, on another. %d rounds; in each, every candidate is sampled for %d s between two samples of what it is
compared to. The time to the first request is the median of nine starts.

%s
`, target, b.connections, b.rounds, b.seconds, machine())
	return s.Bytes()
}

func (b *bench) commit() string {
	out, err := exec.Command("git", "-C", b.root, "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine says what this ran on, without naming it.
func machine() string {
	model := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	parts := []string{fmt.Sprintf("%s, %d cores", model, runtime.NumCPU())}
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		release, _, _ := strings.Cut(strings.TrimSpace(string(data)), "-")
		parts = append(parts, "Linux "+release)
	}
	parts = append(parts, runtime.Version())
	for _, v := range [][]string{{"nginx", "-v"}, {"haproxy", "-v"}} {
		if path := lookPath(v[0]); path != "" {
			out, _ := exec.Command(path, v[1]).CombinedOutput()
			line, _, _ := strings.Cut(string(out), "\n")
			line, _, _ = strings.Cut(strings.TrimPrefix(line, "nginx version: "), " 20")
			parts = append(parts, strings.ReplaceAll(strings.TrimSpace(line), "/", " "))
		}
	}
	return strings.Join(parts, "; ") + "."
}

func micros(s *server) []float64 {
	var list []float64
	for _, x := range s.samples {
		list = append(list, x.micros())
	}
	return list
}

func mib(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// quantile returns the value below which the fraction f of values lies, the
// zero value if there are none.
func quantile[T cmp.Ordered](values []T, f float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*f))]
}

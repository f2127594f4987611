// Package conf turns micro-gw.conf, the environment and the command line into
// one checked Config. It is the only place with defaults.
//
// The command line (-e key=value) beats the environment (dots become
// underscores: listenerConfig_httpPort), which beats the file, which beats the
// default. A string may hold ${env:NAME} and ${file:PATH} wherever it is
// written.
//
// Everything is strict: an unknown key, a value out of range, two values that
// contradict each other end the start, all of them at once and each with its
// position. The exception are the keys of WSO2 API Microgateway that this
// version has nothing for: they are named in one warning, unless passing over
// them would open what they keep shut. A value that a stronger source replaces
// is not looked at.
//
// docs/conf.md and schema/micro-gw.conf.schema.json are made from the same
// tables that Load reads by.
package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:generate go test -run ^(TestReference|TestJSONSchema|TestWSO2)$ -update .

const (
	maxFileSize   = 1 << 20 // of a conf file
	maxSecretSize = 64 << 10
)

// Load reads what o names. Its error is an Errors if something is wrong with
// what an operator wrote.
func Load(o Options) (*Config, error) { return load(o, true) }

func load(o Options, together bool) (*Config, error) {
	l := &loader{
		options: o,
		alone:   !together,
		c:       Default(),
		set:     map[string]assignment{},
		issuers: map[int]origin{},
		broken:  map[string]bool{},
		env:     map[string]string{},
	}
	l.c.path = o.Path
	l.c.sources = map[string]origin{}
	for _, e := range o.Environ {
		if name, v, ok := strings.Cut(e, "="); ok && name != "" {
			l.env[name] = v
		}
	}
	d := &document{}
	if o.Path != "" {
		data, err := readConf(o.Path)
		if err != nil {
			return nil, err
		}
		d = l.readFile(data)
	}
	l.readEnvironment()
	l.readCommandLine()
	l.apply()
	if !l.alone && len(d.problems) == 0 { // else something may only seem to be missing
		l.checkTogether()
	}
	d.checkStructure(l.problems)
	l.problems = append(l.problems, d.problems...)
	if len(l.problems) > 0 {
		l.problems.sort()
		return nil, l.problems
	}
	return l.c, nil
}

func readConf(path string) ([]byte, error) {
	data, err := readAll(path, maxFileSize)
	switch {
	case err != nil:
		return nil, fmt.Errorf("runtime: %s: %w", path, err)
	case len(data) > maxFileSize:
		return nil, fmt.Errorf("runtime: %s: larger than %d bytes", path, maxFileSize)
	}
	return data, nil
}

// readAll reads a file up to one byte more than limit. Its errors do not say
// the path again.
func readAll(path string, limit int64) (data []byte, err error) {
	defer func() {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// An assignment is a value that has not been set yet.
type assignment struct {
	target  target
	written string // the name as it was written
	v       value
	at      origin
}

type loader struct {
	options Options
	alone   bool // each value is only looked at by itself
	env     map[string]string
	c       *Config

	set     map[string]assignment // by the target's name: the strongest
	issuers map[int]origin        // those that exist, and where first
	broken  map[string]bool       // keys with a problem of their own

	rowChecks []func() // of what values are together, in rows

	unused   []assignment
	problems Errors
}

func (l *loader) problem(at origin, key, msg, hint string) {
	l.problems = append(l.problems, &Problem{Where: at.String(), Key: key, Msg: msg, Hint: hint, at: at})
}

func (l *loader) warn(at origin, key, msg string) {
	l.c.Warnings = append(l.c.Warnings, fmt.Sprintf("%s: %s: %s", at, printable(key), msg))
}

// assign notes a value, and reports if the same source has given it already.
func (l *loader) assign(a assignment) {
	name := a.target.name
	if old, ok := l.set[name]; ok && a.at.isFile() == old.at.isFile() && (a.at.env == "") == (old.at.env == "") {
		if a.at.isFile() || a.at.env != "" {
			where := fmt.Sprintf("line %d", old.at.line)
			if a.at.env != "" {
				where = "env " + old.at.env
			}
			msg := "set already: " + where
			if old.written != a.written && a.at.isFile() {
				msg += ", as " + printable(old.written)
			}
			l.problem(a.at, a.written, msg, "")
			return
		}
	}
	l.set[name] = a
	if a.target.issuer != nil {
		if _, ok := l.issuers[a.target.index]; !ok {
			l.issuers[a.target.index] = a.at
		}
	}
}

// readFile assigns what data says. What is not TOML in it is for the caller to
// report.
func (l *loader) readFile(data []byte) *document {
	// Some editors begin a file with a byte order mark, which TOML does not
	// have.
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	d := parse(l.options.Path, data)
	dir := filepath.Dir(l.options.Path)

	// What is unknown as a table is not reported again for each of its keys.
	unknown := map[string]bool{}
	for _, h := range d.headers {
		if under(unknown, h.name) {
			continue
		}
		if known().isTable(h.name) {
			if i, ok := issuerIndex(h.name); ok {
				if _, ok := l.issuers[i]; !ok {
					l.issuers[i] = h.at
				}
			}
			continue
		}
		unknown[h.name] = true
		name := withoutNumbers(h.name)
		switch {
		case h.array && known().isTable(name):
			l.problem(h.at, name, "a table, not an array of tables; write ["+name+"]", "")
		case isKey(name):
			l.problem(h.at, name, "a key, not a table", "")
		default:
			hint := ""
			if s := nearest(name, known().tables()); s != "" {
				hint = "did you mean [" + s + "]?"
			}
			l.problem(h.at, name, "unknown table", hint)
		}
	}
	for _, s := range d.settings {
		s.v.dir = dir
		for i := range s.v.list {
			s.v.list[i].dir = dir
		}
		t, ok := known().resolve(s.name)
		switch {
		case ok:
			l.assign(assignment{t, s.name, s.v, s.at})
		case under(unknown, s.name):
		case s.solo && dynamic.MatchString(s.name):
			l.override(s.name, s.v, s.at)
		case keysOf(s.name) != "":
			l.problem(s.at, s.name, "unknown key", "known keys are "+keysOf(s.name))
		case known().isTable(s.name):
			l.problem(s.at, s.name, "a table, not a key", "")
		case dynamic.MatchString(last(s.name)):
			l.problem(s.at, s.name, "unknown key", "write "+last(s.name)+" above the first table")
		default:
			l.problem(s.at, s.name, "unknown key", known().hint(s.name, asIs))
		}
	}
	return d
}

func asIs(s string) string { return s }

func isKey(name string) bool {
	_, ok := known().resolve(name)
	return ok
}

// under reports whether name is one of tables, or stands in one.
func under(tables map[string]bool, name string) bool {
	for t := range tables {
		if name == t || strings.HasPrefix(name, t+".") {
			return true
		}
	}
	return false
}

// issuerIndex returns which issuer the table called name is.
func issuerIndex(name string) (int, bool) {
	number, ok := strings.CutPrefix(name, issuerTable)
	if number == "" {
		return 0, ok
	}
	number, ok2 := strings.CutPrefix(number, ".")
	i, err := strconv.Atoi(number)
	return i, ok && ok2 && err == nil
}

func (l *loader) readEnvironment() {
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		at := origin{env: name}
		v := value{kind: text, s: l.env[name]}
		t, ok := known().resolveEnv(name)
		switch {
		case ok:
			l.assign(assignment{t, t.name, v, at})
		case dynamic.MatchString(name):
			l.override(name, v, at)
		default:
			// Most of the environment is somebody else's, so what is unknown is
			// not refused. But who writes one of our tables means us.
			root, _, ok := strings.Cut(name, "_")
			if !ok || root == "api" || !slices.Contains(known().roots, root) {
				continue
			}
			msg := "no such key; it has no effect"
			if s := known().hint(strings.ReplaceAll(name, "_", "."), environment); s != "" {
				msg += "; " + s
			}
			l.c.Warnings = append(l.c.Warnings, at.String()+": "+msg)
		}
	}
}

func (l *loader) readCommandLine() {
	var at origin
	for _, s := range l.options.Set {
		name, v, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			l.problem(at, "", fmt.Sprintf("%q is not key=value", s), "")
			continue
		}
		t, ok := known().resolve(name)
		switch {
		case ok:
			l.assign(assignment{t, name, value{kind: text, s: v}, at})
		case dynamic.MatchString(name):
			l.override(name, value{kind: text, s: v}, at)
		case keysOf(name) != "":
			l.problem(at, name, "unknown key", "known keys are "+keysOf(name))
		case known().isTable(name):
			l.problem(at, name, "a table, not a key", "")
		default:
			l.problem(at, name, "unknown key", known().hint(name, asIs))
		}
	}
}

// override notes one of the keys that an API's name is a part of. A later
// source wins.
func (l *loader) override(name string, v value, at origin) {
	if old, ok := l.c.sources[name]; ok && at.isFile() && old.isFile() {
		l.problem(at, name, fmt.Sprintf("set already: line %d", old.line), "")
		return
	}
	l.c.sources[name] = at
	written := v.s
	v, bad := l.expand(v)
	var s string
	if bad == "" {
		s, bad = v.string()
	}
	if bad == "" && strings.Contains(name, "_endpoint_") {
		if bad = checkURL(s); bad != "" && s != written {
			bad = fmt.Sprintf("%q stands for something that is not allowed here: want a URL", written)
		}
	}
	if bad != "" {
		l.problem(at, name, bad, "")
		return
	}
	if l.c.Overrides == nil {
		l.c.Overrides = map[string]string{}
	}
	l.c.Overrides[name] = s
}

// expand replaces the references in v.
func (l *loader) expand(v value) (value, string) {
	if v.kind == list {
		all := make([]value, len(v.list))
		for i, e := range v.list {
			var bad string
			if all[i], bad = l.expand(e); bad != "" {
				return v, bad
			}
		}
		v.list = all
		return v, ""
	}
	if v.kind != str && v.kind != text {
		return v, ""
	}
	if strings.HasPrefix(v.s, "@encrypted:{") {
		return v, "values encrypted by WSO2's tools cannot be read; use ${env:NAME} or ${file:PATH}"
	}
	var b strings.Builder
	rest := v.s
	for {
		before, after, ok := strings.Cut(rest, "${")
		b.WriteString(before)
		if !ok {
			break
		}
		ref, tail, closed := strings.Cut(after, "}")
		word, arg, _ := strings.Cut(ref, ":")
		if word != "env" && word != "file" || !strings.Contains(ref, ":") {
			// Somebody's password, or one of WSO2's placeholders.
			b.WriteString("${")
			rest = after
			continue
		}
		if !closed {
			return v, fmt.Sprintf("%q has no closing brace", "${"+word+":")
		}
		var s, bad string
		if word == "env" {
			s, ok = l.env[arg]
			if !ok {
				bad = "no environment variable " + printable(arg)
			}
		} else {
			s, bad = readSecret(arg, v.dir)
		}
		if bad != "" {
			return v, "${" + word + ":" + printable(arg) + "}: " + bad
		}
		b.WriteString(s)
		rest = tail
		v.kind = text
	}
	v.s = b.String()
	return v, ""
}

// readSecret returns what the file at path holds, without the line end that
// editors put behind it.
func readSecret(path, dir string) (string, string) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	// Opening a pipe or a device may block, or never end.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "no such file"
	case err == nil && !info.Mode().IsRegular():
		return "", "not a regular file"
	}
	var data []byte
	if err == nil {
		data, err = readAll(path, maxSecretSize)
	}
	switch {
	case err != nil:
		return "", err.Error()
	case len(data) > maxSecretSize:
		return "", fmt.Sprintf("larger than %d bytes", maxSecretSize)
	}
	s := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(s, "\r"), ""
}

// apply sets what was assigned, in the order of the tables of keys.
func (l *loader) apply() {
	for i := range configKeys {
		k := &configKeys[i]
		if a, ok := l.set[k.name]; ok {
			applyTo(l, &k.codec, l.c, a)
		}
	}
	count := 0
	for _, i := range slices.Sorted(maps.Keys(l.issuers)) {
		if i != count {
			l.problem(l.issuers[i], fmt.Sprintf("%s.%d", issuerTable, i),
				fmt.Sprintf("issuers are numbered from 0 on, and there is no %d", count), "")
			break
		}
		count++
		issuer := Issuer{Leeway: l.c.Server.TimestampSkew}
		for j := range issuerKeys {
			k := &issuerKeys[j]
			if a, ok := l.set[issuerKey(i, k.name)]; ok {
				applyTo(l, &k.codec, &issuer, a)
			}
		}
		l.c.Issuers = append(l.c.Issuers, issuer)
	}
	for _, r := range rowTables {
		r.apply(l)
	}
	for _, a := range l.set {
		if a.target.unused != nil {
			l.unused = append(l.unused, a)
		}
	}
	for name := range l.c.Overrides {
		if strings.HasSuffix(name, "_etcdKey") {
			u := &unused{note: noDiscovery}
			l.unused = append(l.unused, assignment{target: target{unused: u}, written: name, at: l.c.sources[name]})
		}
	}
	slices.SortFunc(l.unused, func(a, b assignment) int {
		if c := a.at.compare(b.at); c != 0 {
			return c
		}
		return strings.Compare(a.written, b.written)
	})
	l.applyUnused()
}

func applyTo[T any](l *loader, c *codec[T], t *T, a assignment) {
	name := a.target.name
	fail := func(msg string) {
		l.broken[name] = true
		l.problem(a.at, a.written, msg, "")
	}
	v, bad := l.expand(a.v)
	if bad != "" {
		fail(bad)
		return
	}
	if p := home(v.s); c.path && p != "" && v.kind != list {
		what := ""
		switch {
		case name == "listenerConfig.keyStorePath" && shipped(v.s, wso2KeyStore):
			what = "a self-signed certificate is made in memory instead; set it to your own key store, or set listenerConfig.certificateFile and listenerConfig.privateKeyFile"
		case name == "listenerConfig.trustStorePath" && shipped(v.s, wso2TrustStore):
			what = "there is no trust store; set it to your own, or name keys by jwtTokenConfig.jwksURL or jwtTokenConfig.publicKeyFile"
		default:
			fail(p + " is not expanded by this gateway; write the path itself")
			return
		}
		l.broken[name] = true
		l.warn(a.at, a.written, p+" is not expanded, and the store that WSO2 ships is not used: "+what)
		return
	}
	v.warn = func(msg string) { l.warn(a.at, a.written, msg) }
	if bad := c.set(t, v); bad != "" {
		if v.s != a.v.s {
			// What a reference stands for may be a secret in the wrong place.
			bad = fmt.Sprintf("%q stands for something that is not allowed here: want %s", a.v.s, c.typ)
		}
		fail(bad)
		return
	}
	l.c.sources[name] = a.at
}

// applyUnused refuses or names the keys that this version has nothing for.
func (l *loader) applyUnused() {
	type line struct {
		at    origin
		names []string
	}
	var notes []string // in order of appearance
	lines := map[string]*line{}
	for _, a := range l.unused {
		u := a.target.unused
		v, bad := l.expand(a.v)
		switch {
		case bad != "":
			l.problem(a.at, a.written, bad, "")
			continue
		case u.refuse != "" && !u.passes(v):
			l.problem(a.at, a.written, a.v.quoted()+" "+u.refuse, "")
			continue
		case u.warn != "" && !u.passes(v):
			l.warn(a.at, a.written, u.warn)
			continue
		}
		n, ok := lines[u.note]
		if !ok {
			n = &line{at: a.at}
			lines[u.note] = n
			notes = append(notes, u.note)
		}
		n.names = append(n.names, printable(a.written))
	}
	if len(notes) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("keys of WSO2 API Microgateway that have no effect in this version:")
	for _, note := range notes {
		n := lines[note]
		fmt.Fprintf(&b, "\n\t%s: %s: %s", n.at, enumerate(n.names), note)
	}
	l.c.Warnings = append(l.c.Warnings, b.String())
}

// enumerate lists names, those of one table in braces if they follow each other.
func enumerate(names []string) string {
	var all []string
	for i := 0; i < len(names); {
		table := names[i][:len(names[i])-len(last(names[i]))]
		var keys []string
		for ; i < len(names) && strings.TrimSuffix(names[i], last(names[i])) == table; i++ {
			keys = append(keys, last(names[i]))
		}
		list := strings.Join(keys, ", ")
		if len(keys) > 1 && table != "" {
			list = "{" + list + "}"
		}
		all = append(all, table+list)
	}
	return strings.Join(all, ", ")
}

// quoted shows v in a message.
func (v value) quoted() string {
	switch v.kind {
	case str, text:
		return fmt.Sprintf("%q", v.s)
	case list, table:
		return v.kind.String()
	}
	return v.s
}

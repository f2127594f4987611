// Package interceptor knows what the names behind x-wso2-request-interceptor and
// x-wso2-response-interceptor may stand for, and which of it a project has.
//
// A name is one of
//
//	addTrace                              a function of the project
//	java:com.example.AddTrace             a class in a JAR in lib/
//	org/module:addTrace                   a function of a published module,
//	org/module/1.0.0:addTrace             perhaps of a certain version
//
// A function of the project is one that a WebAssembly module in interceptors/
// exports, or one in Ballerina source there, as WSO2 3.x has them. Ballerina is
// searched, not understood: for the name, the place, and whether the parameters
// make it one for requests or for responses.
package interceptor

import (
	"archive/zip"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Direction is what an interceptor changes.
type Direction uint8

const (
	Request Direction = iota
	Response
)

func (d Direction) String() string {
	if d == Request {
		return "request"
	}
	return "response"
}

// Kind is what a name stands for.
type Kind uint8

const (
	Function Kind = iota // of the project
	Class                // in a JAR
	Hub                  // a function of a published module
)

// A Ref is a name, taken apart.
type Ref struct {
	Kind         Kind
	Name         string // of the function or class
	Organisation string // the rest is of Hub
	Module       string
	Version      string
}

var (
	className   = regexp.MustCompile(`^([A-Za-z_$][A-Za-z0-9_$]*\.)*[A-Za-z_$][A-Za-z0-9_$]*$`)
	hubFunction = regexp.MustCompile(`^([A-Za-z0-9_]+)/([A-Za-z0-9_.]+)(?:[/:]([0-9][0-9A-Za-z.+-]*))?:([A-Za-z_][A-Za-z0-9_]*)$`)
)

// Parse takes a name apart, or says what is wrong with it.
func Parse(name string) (ref Ref, problem, hint string) {
	if class, ok := strings.CutPrefix(name, "java:"); ok {
		if class = strings.TrimSpace(class); !className.MatchString(class) {
			return ref, fmt.Sprintf("%q is not the name of a Java class", class), "write it with its package, as in java:com.example.AddTrace"
		}
		return Ref{Kind: Class, Name: class}, "", ""
	}
	if strings.Contains(name, "/") {
		m := hubFunction.FindStringSubmatch(name)
		if m == nil {
			return ref, fmt.Sprintf("%q is not a function of a published module", name), "write ORGANISATION/MODULE:FUNCTION or ORGANISATION/MODULE/VERSION:FUNCTION"
		}
		return Ref{Kind: Hub, Organisation: m[1], Module: m[2], Version: m[3], Name: m[4]}, "", ""
	}
	if before, after, ok := strings.Cut(name, ":"); ok {
		hint := "a function of the project has no colon in its name"
		if strings.EqualFold(strings.TrimSpace(before), "java") {
			hint = fmt.Sprintf("write %q", "java:"+strings.TrimSpace(after))
		}
		return ref, fmt.Sprintf("%q is no interceptor's name", name), hint
	}
	return Ref{Kind: Function, Name: name}, "", ""
}

// A Found is a function of the project.
type Found struct {
	Name string
	File string
	// Line and Column of the name in Ballerina source; 0 in a module.
	Line, Column int
	Wasm         bool

	request, response bool // what its parameters allow
}

// At is where the function is, for messages.
func (f Found) At() string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

// For reports whether the function's parameters allow for the direction.
func (f Found) For(d Direction) bool {
	return d == Request && f.request || d == Response && f.response
}

// A Library is what a project has. The zero value is that of one without
// interceptors.
type Library struct {
	functions map[string][]Found
	classes   map[string][]string // files by class
	code      map[string][]byte   // of modules, by file
	broken    bool
}

// Add adds a file of the interceptors folder. Other files than modules and
// Ballerina source have nothing to say.
func (l *Library) Add(file string, data []byte) error {
	var found []Found
	switch strings.ToLower(path.Ext(file)) {
	case ".bal":
		found = ballerina(file, string(data))
	case ".wasm":
		names, err := exports(data)
		if err != nil {
			l.broken = true
			return err
		}
		for _, name := range names {
			found = append(found, Found{Name: name, File: file, Wasm: true, request: true, response: true})
		}
		if l.code == nil {
			l.code = make(map[string][]byte)
		}
		l.code[file] = data
	}
	if l.functions == nil {
		l.functions = make(map[string][]Found)
	}
	for _, f := range found {
		l.functions[f.Name] = append(l.functions[f.Name], f)
	}
	return nil
}

// What is read of one JAR is its directory; these bound it.
const (
	maxJAR     = 1 << 30
	maxClasses = 500_000
)

// AddJAR adds the classes of a JAR in the lib folder.
func (l *Library) AddJAR(file string, r io.ReaderAt, size int64) error {
	if size > maxJAR {
		l.broken = true
		return fmt.Errorf("the JAR is larger than %d MiB", maxJAR>>20)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		l.broken = true
		return fmt.Errorf("not a JAR: %s", strings.TrimPrefix(err.Error(), "zip: "))
	}
	if len(z.File) > maxClasses {
		l.broken = true
		return fmt.Errorf("more than %d files in a JAR", maxClasses)
	}
	if l.classes == nil {
		l.classes = make(map[string][]string)
	}
	for _, f := range z.File {
		if class, ok := strings.CutSuffix(f.Name, ".class"); ok {
			class = strings.ReplaceAll(class, "/", ".")
			l.classes[class] = append(l.classes[class], file)
		}
	}
	return nil
}

// Incomplete reports whether there was a file that could not be added: what is
// not in the library may be in there.
func (l *Library) Incomplete() bool { return l != nil && l.broken }

// Functions are those of that name, in the order in which their files were
// added.
func (l *Library) Functions(name string) []Found {
	if l == nil {
		return nil
	}
	return l.functions[name]
}

// JARs are the files that have the class, in the order in which they were added.
func (l *Library) JARs(class string) []string {
	if l == nil {
		return nil
	}
	return l.classes[class]
}

// Code is a module's.
func (l *Library) Code(file string) []byte { return l.code[file] }

// Names are those of all functions, or classes, sorted.
func (l *Library) Names(k Kind) []string {
	var names []string
	switch {
	case l == nil:
	case k == Function:
		for name := range l.functions {
			names = append(names, name)
		}
	case k == Class:
		for name := range l.classes {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

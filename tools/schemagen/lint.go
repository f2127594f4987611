package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	pascalCase = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	lowerSnake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	upperSnake = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)
	versioned  = regexp.MustCompile(`\.v[1-9][0-9]*$`)
)

// lint returns what is wrong with the file by the usual conventions for
// protobuf schemas, which keep names clear of each other in every generated
// language, and by one rule of ours: no maps, because their order on the wire
// is not defined and an artifact's bytes are.
func lint(f protoreflect.FileDescriptor) []string {
	l := linter{file: f}
	if f.Syntax() != protoreflect.Proto3 {
		l.report(f, "is not proto3")
	}
	if !versioned.MatchString(string(f.Package())) {
		l.report(f, "package %s does not end in a version", f.Package())
	}
	dir := path.Dir(f.Path())
	if want := "/" + strings.ReplaceAll(string(f.Package()), ".", "/"); !strings.HasSuffix(want, "/"+dir) {
		l.report(f, "package %s does not belong in folder %s", f.Package(), dir)
	}
	if base := strings.TrimSuffix(path.Base(f.Path()), ".proto"); !lowerSnake.MatchString(base) {
		l.report(f, "file name is not lower_snake_case")
	}
	for i := range f.Imports().Len() {
		if f.Imports().Get(i).IsPublic {
			l.report(f, "public import of %s", f.Imports().Get(i).Path())
		}
	}
	l.enums(f.Enums())
	l.messages(f.Messages())
	return l.problems
}

type linter struct {
	file     protoreflect.FileDescriptor
	problems []string
}

func (l *linter) report(d protoreflect.Descriptor, format string, args ...any) {
	place := l.file.Path()
	if d != protoreflect.Descriptor(l.file) {
		loc := l.file.SourceLocations().ByDescriptor(d)
		place = fmt.Sprintf("%s:%d:%d: %s", place, loc.StartLine+1, loc.StartColumn+1, d.Name())
	}
	l.problems = append(l.problems, place+": "+fmt.Sprintf(format, args...))
}

func (l *linter) enums(enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		if !pascalCase.MatchString(string(e.Name())) {
			l.report(e, "enum is not PascalCase")
		}
		prefix := screaming(string(e.Name())) + "_"
		numbers := make(map[protoreflect.EnumNumber]bool)
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			name := string(v.Name())
			if !upperSnake.MatchString(name) || !strings.HasPrefix(name, prefix) {
				l.report(v, "enum value is not UPPER_SNAKE_CASE with the prefix %s", prefix)
			}
			if (v.Number() == 0) != (name == prefix+"UNSPECIFIED") {
				l.report(v, "the value 0, and no other, is called %sUNSPECIFIED", prefix)
			}
			if numbers[v.Number()] {
				l.report(v, "number %d has a name already", v.Number())
			}
			numbers[v.Number()] = true
		}
	}
}

func (l *linter) messages(messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() {
			continue // reported at its field
		}
		if !pascalCase.MatchString(string(m.Name())) {
			l.report(m, "message is not PascalCase")
		}
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			if !lowerSnake.MatchString(string(f.Name())) {
				l.report(f, "field is not lower_snake_case")
			}
			if f.IsMap() {
				l.report(f, "maps have no order; use a repeated message")
			}
		}
		for j := range m.Oneofs().Len() {
			if o := m.Oneofs().Get(j); !lowerSnake.MatchString(string(o.Name())) && !o.IsSynthetic() {
				l.report(o, "oneof is not lower_snake_case")
			}
		}
		l.enums(m.Enums())
		l.messages(m.Messages())
	}
}

// screaming turns "MutualTlsMode" into "MUTUAL_TLS_MODE".
func screaming(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && 'A' <= r && r <= 'Z' && (s[i-1] < 'A' || s[i-1] > 'Z') {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

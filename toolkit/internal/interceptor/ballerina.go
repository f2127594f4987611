package interceptor

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// WSO2 3.0.1 wanted a blank between the name and the bracket; nobody else does.
var declaration = regexp.MustCompile(`\bfunction\s+([A-Za-z_][A-Za-z0-9_]*)\s*\(([^)]*)\)`)

// ballerina finds the functions of a source file.
func ballerina(file, source string) []Found {
	code := withoutComments(source)
	var found []Found
	line, from := 1, 0 // where the lines before it have been counted
	for _, m := range declaration.FindAllStringSubmatchIndex(code, -1) {
		f := Found{Name: code[m[2]:m[3]], File: file}
		before := code[:m[2]]
		line += strings.Count(code[from:m[2]], "\n")
		from = m[2]
		f.Line = line
		f.Column = 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
		parameters := code[m[4]:m[5]]
		f.request = strings.Contains(parameters, "http:Request")
		f.response = strings.Contains(parameters, "http:Response")
		if !f.request && !f.response {
			// A helper, or one that imports the module under another name: it is
			// not for us to say.
			f.request, f.response = true, true
		}
		found = append(found, f)
	}
	return found
}

// withoutComments blanks out comments and what is quoted; everything else keeps
// its place.
func withoutComments(source string) string {
	out := []byte(source)
	quoted, comment := false, false
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '\n':
			quoted, comment = false, false
		case comment:
			out[i] = ' '
		case quoted && c == '\\':
			out[i] = ' '
			if i+1 < len(out) && out[i+1] != '\n' {
				i++
				out[i] = ' '
			}
		case c == '"':
			quoted = !quoted
		case quoted:
			out[i] = ' '
		case c == '/' && i+1 < len(out) && out[i+1] == '/':
			comment = true
			out[i] = ' '
		}
	}
	return string(out)
}

package mock

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/microgw/microgw/schema/artifactpb"
)

// A document is an OpenAPI document as encoding/json reads it. It is walked
// without a model of OpenAPI: what the mock needs of 3.0 and 3.1 is spelled the
// same, and a corner of a document that it does not understand costs one
// answer's detail and no more.
type document struct {
	root any
}

// maxRefs bounds a chain of references.
const maxRefs = 32

// object returns v as an object, references followed; nil if it is none.
func (d document) object(v any) map[string]any {
	for range maxRefs {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		v = d.pointer(ref)
	}
	return nil
}

// pointer resolves a reference within the document (RFC 6901, section 6).
func (d document) pointer(ref string) any {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil {
		return nil
	}
	v := d.root
	if fragment == "" {
		return v
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(fragment, "/"), "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch node := v.(type) {
		case map[string]any:
			v = node[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	return v
}

// An operation is what is known of an operation's answer.
type operation struct {
	status   int
	response map[string]any
}

// operation finds the answer of op: the lowest 2xx, else any 2xx, else the
// default, else the lowest status there is.
func (d document) operation(op *artifactpb.Operation) operation {
	_, described := d.find(op)
	responses := d.object(described["responses"])
	best, status := "", 1000
	for _, key := range slices.Sorted(maps.Keys(responses)) {
		n, err := strconv.Atoi(key)
		switch {
		case err == nil && n >= 200 && n <= 599:
		case strings.EqualFold(key, "2XX"):
			n = 299
		case key == "default":
			n = 300
		default:
			continue
		}
		if n < status {
			best, status = key, n
		}
	}
	if best == "" {
		return operation{status: http.StatusNoContent}
	}
	if n, err := strconv.Atoi(best); err != nil || n != status {
		status = http.StatusOK // a range
	}
	return operation{status: status, response: d.object(responses[best])}
}

// find returns the path item and the operation object of op.
func (d document) find(op *artifactpb.Operation) (item, described map[string]any) {
	// The document has the path as written, Operation.path may be tidied up.
	_, path, _ := strings.Cut(op.GetId(), " ")
	paths := d.object(d.object(d.root)["paths"])
	if item = d.object(paths[path]); item == nil {
		item = d.object(paths[op.GetPath()])
	}
	if written := op.GetDocumentPaths(); item == nil && len(written) > 0 {
		item = d.object(paths[written[0]])
	}
	return item, d.object(item[strings.ToLower(op.GetMethod())])
}

func (d document) target(op *artifactpb.Operation) string {
	item, described := d.find(op)
	path := op.GetPath()
	if before, ok := strings.CutSuffix(path, "/*"); ok {
		path = before + "/any"
	}
	query := url.Values{}
	done := make(map[string]bool)
	for _, list := range []any{described["parameters"], item["parameters"]} { // the operation's win
		parameters, _ := list.([]any)
		for _, p := range parameters {
			p := d.object(p)
			in, _ := p["in"].(string)
			name, _ := p["name"].(string)
			if done[in+" "+name] {
				continue
			}
			done[in+" "+name] = true
			switch {
			case in == "path":
				path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(d.word(p)))
			case in == "query" && p["required"] == true:
				query.Set(name, d.word(p))
			}
		}
	}
	// Parameters that the template has and nobody describes.
	for {
		before, rest, ok := strings.Cut(path, "{")
		_, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			break
		}
		path = before + "1" + after
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// word is the example of a parameter as a text that is not empty.
func (d document) word(p map[string]any) string {
	v := d.example(p)
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	switch v := v.(type) {
	case string:
		if v != "" && !strings.ContainsAny(v, "/\\{}") {
			return v
		}
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return "1"
}

func (op operation) write(w http.ResponseWriter, req *http.Request, doc document) {
	headers := doc.object(op.response["headers"])
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if value, ok := doc.header(name, headers[name]); ok {
			w.Header().Set(name, value)
		}
	}
	content := doc.object(op.response["content"])
	if len(content) == 0 || op.status == http.StatusNoContent || op.status == http.StatusNotModified {
		send(w, op.status, "", nil)
		return
	}
	name := choose(slices.Sorted(maps.Keys(content)), req.Header.Values("Accept"))
	contentType, body := doc.body(name, doc.object(content[name]))
	send(w, op.status, contentType, body)
}

// header makes the value of a response header. Fields that belong to the
// message's framing or to its body are the server's.
func (d document) header(name string, v any) (string, bool) {
	switch http.CanonicalHeaderKey(name) {
	case "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "Trailer", "Te", "Date":
		return "", false
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	}) {
		return "", false
	}
	var text string
	switch value := d.example(d.object(v)).(type) {
	case nil:
		return "", false
	case string:
		text = value
	default:
		data, err := json.Marshal(value)
		if err != nil {
			return "", false
		}
		text = string(data)
	}
	return text, len(text) <= 1024 && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f })
}

// example is the value of something that has examples or a schema: a media
// type, a header, a parameter.
func (d document) example(m map[string]any) any {
	if v, ok := m["example"]; ok {
		return v
	}
	examples := d.object(m["examples"])
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		if v, ok := d.object(examples[name])["value"]; ok {
			return v
		}
	}
	schema, ok := m["schema"]
	if !ok {
		return nil
	}
	return (&generator{doc: d, budget: maxBudget, open: make(map[string]int)}).value(schema, 0)
}

// body makes a body of the declared type.
func (d document) body(name string, m map[string]any) (contentType string, body []byte) {
	value := d.example(m)
	contentType = concrete(name)
	essence, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	essence = strings.TrimSpace(essence)
	text, isText := value.(string)
	switch {
	case essence == "application/json" || strings.HasSuffix(essence, "+json"):
		// An example of JSON is sometimes written as a text that holds it.
		if isText && len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid([]byte(text)) {
			return contentType, []byte(text)
		}
	case isText:
		return contentType, []byte(text)
	case essence == "application/xml" || essence == "text/xml" || strings.HasSuffix(essence, "+xml"):
		return contentType, d.xml(value, m["schema"])
	}
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // it was JSON before
	}
	return contentType, body
}

// concrete makes a media type of what may be a range.
func concrete(name string) string {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "*/*", "application/*", "":
		return "application/json"
	case "text/*":
		return "text/plain"
	}
	if strings.Contains(name, "*") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return "application/octet-stream"
	}
	return name
}

// choose picks a declared media type: one that the client accepts, JSON before
// others; JSON or the first one if the client accepts none of them, since an
// answer is of more use here than 406.
func choose(declared []string, accept []string) string {
	slices.SortStableFunc(declared, func(a, b string) int { return weight(a) - weight(b) })
	for _, name := range declared {
		if accepts(accept, concrete(name)) {
			return name
		}
	}
	return declared[0]
}

func weight(name string) int {
	switch name = strings.ToLower(name); {
	case strings.HasPrefix(name, "application/json"):
		return 0
	case strings.Contains(name, "json") || strings.Contains(name, "*"):
		return 1
	}
	return 2
}

func accepts(accept []string, name string) bool {
	essence, _, _ := strings.Cut(strings.ToLower(name), ";")
	essence = strings.TrimSpace(essence)
	kind, _, _ := strings.Cut(essence, "/")
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		r, params, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		r = strings.TrimSpace(r)
		if strings.TrimSpace(params) == "q=0" {
			continue
		}
		if r == essence || r == "*/*" || r == kind+"/*" {
			return true
		}
	}
	return len(accept) == 0
}

// xml writes a value as plain elements. Attributes and name spaces, which
// OpenAPI's xml objects can ask for, are left out.
func (d document) xml(value, schema any) []byte {
	root := "response"
	if s := d.object(schema); s != nil {
		if name, ok := d.object(s["xml"])["name"].(string); ok {
			root = name
		}
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	writeXML(&b, root, value)
	return b.Bytes()
}

func writeXML(b *bytes.Buffer, name string, value any) {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	b.WriteString("<" + name + ">")
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			writeXML(b, key, v[key])
		}
	case []any:
		for _, item := range v {
			writeXML(b, "item", item)
		}
	case nil:
	default:
		// EscapeText only fails if the buffer does.
		_ = xml.EscapeText(b, []byte(fmt.Sprint(v)))
	}
	b.WriteString("</" + name + ">")
}

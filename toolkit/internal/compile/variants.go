package compile

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// Some definitions tell operations apart by more than their paths: Amazon's by a
// fragment that stands for a header field ("/#X-Amz-Target=Service.Method"),
// others by a query ("/rest?method=search"). A path has neither (OpenAPI 3.0.3,
// section 4.7.8), and a gateway matches on neither. Where it would do the same for
// all of them they are one operation, and nothing is lost. Where it would not
// (another security, another endpoint) they are an error: one of them would get
// what is meant for the other. The same holds for "/jobs" beside "/jobs/".

// A variant is the first operation of those that are one to the gateway.
type variant struct {
	op  *spec.Operation
	out *artifactpb.Operation
}

// matched is the part of a path that requests are matched by, and what follows
// it: '?', '#' or nothing (0). Within braces they are left to pathtmpl to refuse.
func matched(path string) (string, byte) {
	braces := false
	for i := range len(path) {
		switch c := path[i]; c {
		case '{':
			braces = true
		case '}':
			braces = false
		case '?', '#':
			if !braces {
				return path[:i], c
			}
		}
	}
	return path, 0
}

// oneSlash is the same for paths that differ in a slash at the end only.
func oneSlash(path string) string {
	if len(path) > 1 {
		return strings.TrimSuffix(path, "/")
	}
	return path
}

// odd warns that more requests match than the definition describes.
func (a *api) odd(op *spec.Operation, odd byte) {
	text := `what follows "?" in a path is not matched: every request for the path is this operation`
	if odd == '#' {
		text = `what follows "#" in a path is never sent: every request for the path is this operation`
	}
	a.carry(op.Path.At, false, text)
}

// merge adds an operation to the first one that matches the same requests.
func (a *api) merge(first *variant, op *spec.Operation, out *artifactpb.Operation, odd byte) {
	if what := differs(first.out, out); what != "" {
		a.c.diags.ErrorHint(op.At, "the gateway looks at neither query nor fragment nor a slash at the end: give both the same", "no %s request can tell it from %q at %s, and they differ in %s", op.Method, first.op.Path.Value, first.op.Path.At, what)
		return
	}
	if len(first.out.DocumentPaths) == 0 {
		first.out.DocumentPaths = []string{first.op.Path.Value}
	}
	first.out.DocumentPaths = append(first.out.DocumentPaths, op.Path.Value)
	first.out.OperationId = ""
	if odd != 0 {
		a.odd(op, odd)
		return
	}
	a.c.diags.Warnf(op.Path.At, "it matches the same %s requests as %q at %s: the gateway takes them for one operation", op.Method, first.op.Path.Value, first.op.Path.At)
}

// differs says in what the gateway would have to treat two operations
// differently; "" if in nothing.
func differs(a, b *artifactpb.Operation) string {
	switch {
	case !proto.Equal(a.Security, b.Security):
		return "security"
	case a.ProductionCluster != b.ProductionCluster || a.SandboxCluster != b.SandboxCluster:
		return "their endpoints"
	case a.ThrottlePolicy != b.ThrottlePolicy:
		return "their throttling tiers"
	}
	// All the rest, of fields to come too.
	strip := func(op *artifactpb.Operation) *artifactpb.Operation {
		op = proto.CloneOf(op)
		op.Id, op.Path, op.OperationId, op.Position, op.DocumentPaths = "", "", "", nil, nil
		op.Parameters, op.RequestBody, op.Responses = nil, nil, nil // see Operation.document_paths
		return op
	}
	if !proto.Equal(strip(a), strip(b)) {
		return "their policies"
	}
	return ""
}

// templateHint says what to do about a path that cannot be matched, where that is
// not said already.
func templateHint(err error) string {
	switch msg := syntax(err); {
	case strings.Contains(msg, "need something between them"):
		return "describe them as one parameter"
	case strings.HasSuffix(msg, "occurs twice"):
		return "give one of them another name"
	case msg == "empty path segment":
		return "leave out one of the slashes"
	}
	return ""
}

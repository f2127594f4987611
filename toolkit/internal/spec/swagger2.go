package spec

import (
	"encoding/json"
	"fmt"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// convert makes OpenAPI 3.0 of a Swagger 2.0 document, for the artifact to
// carry. Everything else the build knows of the definition it has read from the
// original, where the positions are.
func convert(doc []byte, at diag.At, l *diag.List) []byte {
	out, err := convert3(doc)
	if err != nil {
		l.Errorf(at, "the definition cannot be converted to OpenAPI 3: %v", err)
		return nil
	}
	// The library writes its own types with its own order of keys.
	var problems diag.List
	n := tree.Parse("converted.json", out, &problems)
	if n == nil {
		l.Errorf(at, "the definition cannot be converted to OpenAPI 3: %s", problems[0].Message)
		return nil
	}
	return n.AppendJSON(nil)
}

func convert3(doc []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	var v2 openapi2.T
	if err := json.Unmarshal(doc, &v2); err != nil {
		return nil, err
	}
	v3, err := openapi2conv.ToV3(&v2)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v3)
}

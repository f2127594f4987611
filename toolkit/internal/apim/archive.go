package apim

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/archive"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

const maxArchive = archive.MaxSize

// Archive reads an exported archive.
func Archive(name string, r io.ReaderAt, size int64) (Found, error) {
	f, err := fromArchive(r, size)
	if err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func fromArchive(r io.ReaderAt, size int64) (Found, error) {
	var f Found
	c, err := archive.Read(r, size)
	if err != nil {
		return f, err
	}
	n, err := parse(c.DescribedIn, c.Description)
	if err != nil {
		return f, err
	}
	// API Manager 4, and apictl for 3.2, say first what the file is.
	if data := n.Get("data"); data != nil && data.Kind == tree.Object {
		if typ := text(n, "type"); typ != "" && typ != "api" {
			return f, fmt.Errorf("%s: it is of the type %q, not an API", c.DescribedIn, typ)
		}
		n = data
	}
	if f.API, err = Describe(n); err != nil {
		return f, fmt.Errorf("%s: %w", c.DescribedIn, err)
	}
	if !f.API.HTTP() {
		return f, fmt.Errorf("%s: the type of the API %q is %s, which needs another gateway", c.DescribedIn, f.API.Name, f.API.Type)
	}
	f.Definition, err = Definition(c.DefinitionFile, c.Definition)
	if err != nil {
		// tree has named the file if it could not be read.
		if strings.HasPrefix(err.Error(), c.DefinitionFile) {
			return f, err
		}
		return f, fmt.Errorf("%s: %w", c.DefinitionFile, err)
	}
	if f.API.Context == "" {
		return f, errors.New(c.DescribedIn + ": the API has no context")
	}
	f.API.write(f.Definition, false)
	return f, nil
}

package cli

import (
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/toolkit/internal/fetch"
)

// headerFlags are the flags --headers and --values: header fields of a download,
// paired by position.
type headerFlags struct{ names, values []string }

func (f headerFlags) header() (http.Header, error) {
	if len(f.names) != len(f.values) {
		return nil, usage("", "--headers has %s, --values has %d: they go together", count(len(f.names), "name", "names"), len(f.values))
	}
	if len(f.names) == 0 {
		return nil, nil
	}
	header := make(http.Header, len(f.names))
	for i, name := range f.names {
		if !fieldName.MatchString(name) {
			return nil, usage("", "--headers: %q is not the name of a header field", name)
		}
		if strings.ContainsFunc(f.values[i], unicode.IsControl) {
			// It may be a secret: it is not repeated.
			return nil, usage("", "--values: the value of %s has a control character in it", name)
		}
		header.Add(name, f.values[i])
	}
	return header, nil
}

// fieldName is a token (RFC 9110, section 5.6.2).
var fieldName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// addFetch adds the flags of commands that can download a definition.
func addFetch(cmd *cobra.Command, source *fetch.Source, fields *headerFlags) {
	cmd.Flags().StringSliceVar(&fields.names, "headers", nil, "names of header fields for the download, separated by commas")
	cmd.Flags().StringSliceVar(&fields.values, "values", nil, "their values, in the same order")
	cmd.Flags().BoolVarP(&source.Insecure, "insecure", "k", false, "accept any certificate for the download")
}

package urlpath_test

import (
	"bytes"
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/urlpath"
)

func TestNormalize(t *testing.T) {
	for raw, want := range map[string]any{
		"/":                   "/",
		"/petstore/v1/pet/42": "/petstore/v1/pet/42",
		"/a/":                 "/a/",
		"/a//b":               "/a//b",
		"/A/b":                "/A/b",
		"/a.b/.c/..d/e.":      "/a.b/.c/..d/e.",
		"/a/./b":              "/a/b",
		"/a/.":                "/a/",
		"/a/b/..":             "/a/",
		"/a/b/../":            "/a/",
		"/a/b/../c":           "/a/c",
		"/a/..":               "/",
		"/a//../b":            "/a/b",
		"/.":                  "/",
		"/%41%7e":             "/A~",
		"/a%20b":              "/a%20b",
		"/caf%c3%a9":          "/caf%C3%A9",
		"/%f0%9f%90%88/x":     "/%F0%9F%90%88/x",
		"/%252e%252e":         "/%252e%252e",
		"/a/%2e%2e/b":         "/b",
		"/a/.%2E/b":           "/b",
		"/a;v=1/b":            "/a;v=1/b",
		"/{x}|[y]":            "/%7Bx%7D%7C%5By%5D",
		"/%7bx%7d%7C":         "/%7Bx%7D%7C",
		"/...":                "/...",
		"/a/...;x":            "/a/...;x",

		"":               urlpath.ErrRelative,
		"a/b":            urlpath.ErrRelative,
		"*":              urlpath.ErrRelative,
		"/%":             urlpath.ErrEscape,
		"/%4":            urlpath.ErrEscape,
		"/%4/":           urlpath.ErrEscape,
		"/%zz":           urlpath.ErrEscape,
		"/a%2fb":         urlpath.ErrSeparator,
		"/a%5Cb":         urlpath.ErrSeparator,
		`/a\b`:           urlpath.ErrSeparator,
		`/%41\b`:         urlpath.ErrSeparator,
		"/a\x00":         urlpath.ErrByte,
		"/a\tb":          urlpath.ErrByte,
		"/%41\x7f":       urlpath.ErrByte,
		"/a b":           urlpath.ErrByte,
		"/caf\xc3\xa9":   urlpath.ErrByte,
		"/a#b":           urlpath.ErrByte,
		"/a%00":          urlpath.ErrByte,
		"/a%1f":          urlpath.ErrByte,
		"/%7f":           urlpath.ErrByte,
		"/%c0%af":        urlpath.ErrEncoding, // overlong "/"
		"/%e0%80%af":     urlpath.ErrEncoding,
		"/%ed%a0%80":     urlpath.ErrEncoding, // surrogate
		"/%c3":           urlpath.ErrEncoding,
		"/%c3a":          urlpath.ErrEncoding,
		"/%ff":           urlpath.ErrEncoding,
		"/..":            urlpath.ErrClimb,
		"/a/../..":       urlpath.ErrClimb,
		"/../a":          urlpath.ErrClimb,
		"/%2e%2e/a":      urlpath.ErrClimb,
		"/a/..;/b":       urlpath.ErrDotParam,
		"/a/.;x/b":       urlpath.ErrDotParam,
		"/a/%2e%2e%3b/b": urlpath.ErrDotParam,
	} {
		got, err := urlpath.Normalize(nil, []byte(raw))
		switch want := want.(type) {
		case string:
			if err != nil || string(got) != want {
				t.Errorf("%q: got %q, %v; want %q", raw, got, err, want)
			}
		case error:
			if !errors.Is(err, want) {
				t.Errorf("%q: got %q, %v; want %v", raw, got, err, want)
			}
		}
	}
}

func TestNormalizeKeepsDst(t *testing.T) {
	dst := []byte("kept")
	got, err := urlpath.Normalize(dst, []byte("/a/../b"))
	if err != nil || string(got) != "/b" || string(dst) != "kept" {
		t.Fatalf("got %q, %v, dst %q", got, err, dst)
	}
}

func TestNormalizeAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 256)
	for _, raw := range []string{"/petstore/v1/pet/42", "/a/../%c3%a9/./b%2cc"} {
		in := []byte(raw)
		if n := testing.AllocsPerRun(100, func() { _, _ = urlpath.Normalize(dst, in) }); n != 0 {
			t.Errorf("%s: %v allocations", raw, n)
		}
	}
}

// FuzzNormalize holds that what is accepted is a fixed point, cannot climb, and
// means the same to net/url and path.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"/", "/a/./b/../c", "/%41%c3%a9", "/a%2fb", "/..;/", "/a/%2e%2e/%2e"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := urlpath.Normalize(nil, raw)
		if err != nil {
			return
		}
		again, err := urlpath.Normalize(nil, got)
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("%q: %q normalises again to %q, %v", raw, got, again, err)
		}
		u, err := url.ParseRequestURI(string(got))
		if err != nil {
			t.Fatalf("%q: net/url refuses %q: %v", raw, got, err)
		}
		for _, s := range strings.Split(u.Path, "/") {
			if s == "." || s == ".." {
				t.Fatalf("%q: dot segment left in %q", raw, got)
			}
		}
		// path.Clean also collapses slashes, so compare where there are no
		// doubled ones.
		if p, err := url.PathUnescape(string(raw)); err == nil && !strings.Contains(p, "//") {
			clean := path.Clean(p)
			if strings.HasSuffix(u.Path, "/") && clean != "/" {
				clean += "/"
			}
			if u.Path != clean {
				t.Fatalf("%q: got %q, path.Clean says %q", raw, u.Path, clean)
			}
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	raw := []byte("/petstore/v1/pet/findByStatus/42")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := urlpath.Normalize(nil, raw); err != nil {
			b.Fatal(err)
		}
	}
}

package build

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/project"
)

// LockFile is where a project keeps the digests of what its remote references
// lead to. A build that finds something else there is refused: the same project
// gives the same artifact, or none.
const LockFile = "remote-refs.lock"

// maxRemote bounds the URLs of one build.
const maxRemote = 200

// remote fetches what $refs to URLs lead to.
type remote struct {
	ctx  context.Context
	refs fetch.References

	mu      sync.Mutex
	asked   int                          // guarded by mu
	locked  map[string]string            // by URL, from the lock file
	fetched map[string][sha256.Size]byte // guarded by mu
}

// openRemote reads the lock file.
func openRemote(ctx context.Context, refs fetch.References, p *project.Project, l *diag.List) *remote {
	r := &remote{ctx: ctx, refs: refs, locked: make(map[string]string), fetched: make(map[string][sha256.Size]byte)}
	data, err := p.Peek(LockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return r
	}
	if err != nil {
		l.Errorf(diag.At{File: LockFile}, "%v", err)
		return r
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		digest, url, ok := strings.Cut(line, " ")
		raw, err := hex.DecodeString(digest)
		if !ok || err != nil || len(raw) != sha256.Size {
			l.ErrorHint(diag.At{File: LockFile, Line: number, Column: 1}, "delete the line, and build with --allow-remote-refs", "want a SHA-256 and a URL")
			continue
		}
		r.locked[strings.TrimSpace(url)] = digest
	}
	return r
}

// get fetches a URL and compares it with the lock file.
func (r *remote) get(url string) ([]byte, string, error) {
	r.mu.Lock()
	r.asked++
	full := r.asked > maxRemote
	r.mu.Unlock()
	if full {
		return nil, "", fmt.Errorf("it is not fetched: more than %d URLs in one build", maxRemote)
	}
	data, final, err := r.refs.Get(r.ctx, url)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(data)
	r.mu.Lock()
	r.fetched[url] = sum
	locked := r.locked[url]
	r.mu.Unlock()
	if got := hex.EncodeToString(sum[:]); locked != "" && locked != got {
		return nil, "", fmt.Errorf("it is not what it was: delete its line in %s to accept what is there now (SHA-256 %s)", LockFile, got)
	}
	return data, final, nil
}

// sources are what was fetched, by URL.
func (r *remote) sources() []compile.Source {
	var list []compile.Source
	for url, sum := range r.fetched {
		list = append(list, compile.Source{Name: url, SHA256: sum[:]})
	}
	slices.SortFunc(list, func(a, b compile.Source) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// lock is the lock file as it has to be, or nil if it is so already.
func (r *remote) lock() []byte {
	same := len(r.locked) == len(r.fetched)
	var b bytes.Buffer
	b.WriteString("# What remote references lead to, as SHA-256. Keep it under version control.\n")
	for _, s := range r.sources() {
		digest := hex.EncodeToString(s.SHA256)
		same = same && r.locked[s.Name] == digest
		fmt.Fprintf(&b, "%s %s\n", digest, s.Name)
	}
	if same {
		return nil
	}
	return b.Bytes()
}

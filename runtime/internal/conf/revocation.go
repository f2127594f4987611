package conf

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Revocation is how the gateway learns which tokens are revoked.
type Revocation struct {
	Capacity   int // entries
	Realtime   Realtime
	Persistent Persistent
}

// Realtime is a topic of a message broker.
type Realtime struct {
	Enabled   bool
	Topic     string
	Factory   string
	URL       Secret
	Username  string
	Password  Secret
	Durable   string // name of a durable subscription, "" for none
	Retention time.Duration
}

// Persistent is a store.
type Persistent struct {
	Enabled      bool
	UseDefault   bool
	Type         string // etcd, default or custom
	Hostname     string // of etcd
	EndpointURL  string // of the event hub
	Username     string
	Password     Secret
	SnapshotPath string // "" for none
}

const maxRetention = 10 * 365 * 24 * time.Hour

const realtimeTable, persistentTable = "tokenRevocationConfig.realtime.", "tokenRevocationConfig.persistent."

const (
	durablePattern = `^[A-Za-z0-9._-]{0,100}$`
	topicPattern   = `^[A-Za-z0-9._:@$~-]{1,200}$`
	etcdOne        = `([Hh][Tt][Tt][Pp][Ss]?://)?([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:` + portNumber + `)?(/[^][\s?#,@"<>^{|}\\]*)?`
	etcdPattern    = `^$|^ *` + etcdOne + `( *, *` + etcdOne + `)* *$`
)

var (
	isTopic = rule{func(s string) string {
		if !topics.MatchString(s) {
			return fmt.Sprintf("%.80q is not a topic", s)
		}
		return ""
	}, textShape(topicPattern)}
	isDurable = rule{func(s string) string {
		if !durables.MatchString(s) {
			return fmt.Sprintf("%.80q is not a name of letters, digits, dots, dashes and underscores", s)
		}
		return ""
	}, textShape(durablePattern)}
	isEtcd = rule{func(s string) string {
		if strings.Contains(s, "@") {
			return "credentials in the URL are not supported" // nor quoted
		}
		if !etcds.MatchString(s) {
			return fmt.Sprintf("%.200q is not a URL of etcd, such as https://localhost:2379/v2/keys/jti/", s)
		}
		return ""
	}, textShape(etcdPattern)}

	// A topic's name is one topic and no pattern, in every dialect.
	topics   = regexp.MustCompile(topicPattern)
	durables = regexp.MustCompile(durablePattern)
	etcds    = regexp.MustCompile(etcdPattern)
)

// madeFileOf is a file that we make and read; it need not be there.
func madeFileOf[T any](p func(*T) *string) codec[T] {
	return codec[T]{
		typ: "file", shape: textShape(""),
		path: true,
		set: func(t *T, v value) string {
			s, bad := v.file()
			switch {
			case bad != "":
			case s == Standard || strings.ContainsRune(s, 0):
				bad = fmt.Sprintf("%q is not a path", s)
			default:
				*p(t) = s
			}
			return bad
		},
		get: func(t *T) any { return *p(t) },
	}
}

// checkRevocation sees to it that nobody believes that tokens are looked up who
// has not said where.
func (l *loader) checkRevocation() {
	r, p := &l.c.Revocation.Realtime, &l.c.Revocation.Persistent
	const realtime, persistent = realtimeTable + "enableRealtimeMessageRetrieval", persistentTable + "enablePersistentStorageRetrieval"
	if a, ok := l.given(realtime); ok && r.Enabled && r.URL.Reveal() == "" && !l.broken[realtimeTable+"jmsConnectionProviderUrl"] {
		l.problem(a.at, a.written, "needs "+realtimeTable+"jmsConnectionProviderUrl, which says where the broker is", "")
	}
	if !p.Enabled {
		return
	}
	l.decideStore()
	const open = "is an extension of WSO2's gateway, which this one does not have: revoked tokens would be let in"
	if a, ok := l.given(persistentTable + "useDefault"); ok && !p.UseDefault {
		l.problem(a.at, a.written, "false "+open, "")
	}
	if a, ok := l.given(persistentTable + "type"); ok && p.Type == "custom" {
		l.problem(a.at, a.written, `"custom" `+open, "")
	}
	if a, ok := l.given(persistent); ok && p.Type == "default" && p.EndpointURL == "" && !l.broken[persistentTable+"endpointURL"] {
		l.problem(a.at, a.written, "needs "+persistentTable+"endpointURL, since the type is \"default\"", "")
	}
}

// decideStore looks after confs of WSO2 3.2 that have an event hub and no type,
// which is the event hub there and etcd in those of 3.0 and 3.1.
func (l *loader) decideStore() {
	p := &l.c.Revocation.Persistent
	a, ok := l.given(persistentTable + "endpointURL")
	if _, typed := l.given(persistentTable + "type"); !ok || typed || p.EndpointURL == "" {
		return
	}
	if _, both := l.given(persistentTable + "hostname"); both {
		l.problem(a.at, a.written, "there is "+persistentTable+"hostname, too", persistentTable+`type says which of them: "default" for the event hub, or "etcd"`)
		return
	}
	p.Type = "default"
	l.c.sources[persistentTable+"type"] = a.at
}

package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Dialect is a protocol of message brokers.
type Dialect string

// All that are known.
const (
	STOMP   Dialect = "STOMP"
	AMQP091 Dialect = "AMQP 0-9-1"
	AMQP10  Dialect = "AMQP 1.0"
)

// A Target is one way to reach a broker.
type Target struct {
	Dialect            Dialect
	Host               string
	Port               string
	TLS                bool
	VirtualHosts       []string // AMQP 0-9-1: one after the other, as long as there is no such host
	Username, Password string
	Topic              string
	Durable            string // name of a durable subscription, "" for another
	// Careful asks for one message after the other, so that what has been taken is
	// known to the broker when it hangs up at the next.
	Careful bool
	// Plain asks for one message, in whatever form the broker can give it without
	// taking pains, after which the subscription ends: there is a message in the way
	// at which the broker hangs up.
	Plain bool
	// Dial opens a connection; nil: over TCP.
	Dial func(context.Context) (net.Conn, error)

	tls *tls.Config
}

// hide takes the password out of what a broker has said: some repeat what they
// were sent.
func (t Target) hide(text string) string {
	if t.Password == "" || t.Password == t.Username {
		return text
	}
	return strings.ReplaceAll(text, t.Password, "***")
}

// Address is host and port.
func (t Target) Address() string { return net.JoinHostPort(t.Host, t.Port) }

func (t Target) String() string {
	s := string(t.Dialect) + " on " + t.Address()
	if t.TLS {
		s += " with TLS"
	}
	return s
}

// Ports by convention, without and with TLS. ActiveMQ has none of its own for
// STOMP with TLS; its documentation uses this one.
var ports = map[Dialect][2]string{STOMP: {"61613", "61612"}, AMQP091: {"5672", "5671"}, AMQP10: {"5672", "5671"}}

// A family of brokers, told by the JNDI factory.
type family int

const (
	unknown  family = iota
	activeMQ        // ActiveMQ Classic and Artemis
	andes           // WSO2's broker, Qpid's older clients, RabbitMQ
	qpidJMS         // AMQP 1.0
)

func familyOf(factory string) family {
	f := strings.ToLower(factory)
	has := func(all ...string) bool {
		return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(f, s) })
	}
	switch {
	case has("activemq", "artemis"):
		return activeMQ
	case has("qpid.jms"):
		return qpidJMS
	case has("bmb", "wso2", "andes", "qpid", "rabbit", "mbinitial"):
		return andes
	}
	return unknown
}

// Parse returns what to try, in order. The URL is one of
//
//	amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'
//	tcp://localhost:61616, ssl://, nio://, auto://
//	failover:(tcp://a:61616,tcp://b:61616)?randomize=false
//	stomp://, stomp+ssl://, amqp://, amqps://, amqp10://, amqp10s://, amqp091://, amqp091s://
//
// A scheme that names a dialect decides; amqp is the 0-9-1 of WSO2's broker and
// RabbitMQ unless the factory is ActiveMQ's or Qpid JMS's, whose AMQP is 1.0, and
// the other of the two is tried after it. tcp, ssl and the like are ActiveMQ's:
// STOMP on the port in the URL, STOMP on its own port, then AMQP 1.0 on both. With
// a factory of WSO2's broker they are AMQP. TLS is never given up for a port
// without.
func Parse(factory, raw, username, password string) ([]Target, error) {
	fam := familyOf(factory)
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return nil, errors.New("no URL of a broker")
	}
	lower := strings.ToLower(raw)
	var all []Target
	var err error
	switch {
	case strings.Contains(lower, "brokerlist="):
		all, err = brokerList(raw)
	case strings.HasPrefix(lower, "failover:"):
		all, err = failover(fam, raw[len("failover:"):])
	default:
		all, err = oneURL(fam, raw)
	}
	if err != nil {
		return nil, err
	}
	// Several addresses with the same dialect and port come once.
	var once []Target
	for _, t := range all {
		if username != "" {
			t.Username, t.Password = username, password
		}
		same := func(o Target) bool { return o.Dialect == t.Dialect && o.Address() == t.Address() && o.TLS == t.TLS }
		if !slices.ContainsFunc(once, same) {
			once = append(once, t)
		}
	}
	return once, nil
}

var listed = regexp.MustCompile(`(?i)\b(tcp|ssl)://([^;,'?/\s]+)([^;,]*)`)

// brokerList reads the form of WSO2's broker and Qpid's older clients. The host
// of the URL is a client's name; where the broker is stands in the list.
func brokerList(raw string) ([]Target, error) {
	head, list, _ := cutFold(raw, "brokerlist=")
	user, pass, _, path, err := authority(strings.TrimRight(head, "?&"))
	if err != nil {
		return nil, err
	}
	var all []Target
	for _, m := range listed.FindAllStringSubmatch(list, -1) {
		secure := strings.EqualFold(m[1], "ssl") || strings.Contains(strings.ToLower(strings.ReplaceAll(m[3], "'", "")), "ssl=true")
		for _, d := range []Dialect{AMQP091, AMQP10} {
			t, err := target(d, m[2], "", secure)
			if err != nil {
				return nil, err
			}
			t.Username, t.Password = user, pass
			if d == AMQP091 {
				t.VirtualHosts = virtualHosts(path)
			}
			all = append(all, t)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("brokerlist names no broker such as tcp://localhost:5672")
	}
	return all, nil
}

// failover reads ActiveMQ's list of URLs.
func failover(fam family, rest string) ([]Target, error) {
	rest = strings.TrimPrefix(rest, "//")
	if open := strings.IndexByte(rest, '('); open == 0 {
		end := strings.LastIndexByte(rest, ')')
		if end < 0 {
			return nil, errors.New("failover: no closing bracket")
		}
		rest = rest[1:end]
	}
	var all []Target
	for _, u := range strings.Split(rest, ",") {
		if u = strings.TrimSpace(u); u == "" {
			continue
		}
		one, err := oneURL(fam, u)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	if len(all) == 0 {
		return nil, errors.New("failover: no URL in it")
	}
	return all, nil
}

func oneURL(fam family, raw string) ([]Target, error) {
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("not a URL such as tcp://localhost:61616")
	}
	user, pass, host, path, err := authority(raw)
	if err != nil {
		return nil, err
	}
	secure := false
	base := []string{}
	for _, part := range strings.Split(strings.ToLower(scheme), "+") {
		switch part {
		case "ssl", "tls":
			secure = true
			base = append(base, "tcp")
		case "nio":
		default:
			base = append(base, part)
		}
	}
	name := "tcp" // nio is tcp in another way
	for _, b := range base {
		if b != "tcp" || len(base) == 1 {
			name = b
		}
	}
	type try struct {
		d       Dialect
		ownPort bool
	}
	var order []try
	switch name {
	case "stomps", "amqps", "amqp10s", "amqp091s":
		secure = true
		name = strings.TrimSuffix(name, "s")
	case "amqp1.0", "amqp1_0", "amqp1-0":
		name = "amqp10"
	}
	switch name {
	case "stomp":
		order = []try{{d: STOMP}}
	case "amqp10":
		order = []try{{d: AMQP10}}
	case "amqp091":
		order = []try{{d: AMQP091}}
	case "amqp":
		if order = []try{{d: AMQP091}, {d: AMQP10}}; fam == activeMQ || fam == qpidJMS {
			order = []try{{d: AMQP10}, {d: AMQP091}}
		}
	case "tcp", "auto":
		switch _, port, _ := net.SplitHostPort(host); {
		case fam == andes:
			order = []try{{d: AMQP091}, {d: AMQP10}}
		case fam == qpidJMS:
			order = []try{{d: AMQP10}, {d: AMQP091}}
		case fam == unknown && (port == ports[AMQP091][0] || port == ports[AMQP091][1]):
			order = []try{{d: AMQP091}, {d: AMQP10}, {d: STOMP}}
		default:
			order = []try{{d: STOMP}, {d: STOMP, ownPort: true}, {d: AMQP10}, {d: AMQP10, ownPort: true}}
		}
	default:
		return nil, fmt.Errorf("the scheme %.40q is none of tcp, ssl, nio, auto, failover, stomp, stomp+ssl, amqp, amqps, amqp10, amqp091", scheme)
	}
	var all []Target
	for _, o := range order {
		own := ""
		if o.ownPort {
			own = ports[o.d][0]
			if secure {
				own = ports[o.d][1]
			}
		}
		t, err := target(o.d, host, own, secure)
		if err != nil {
			return nil, err
		}
		t.Username, t.Password = user, pass
		if o.d == AMQP091 {
			t.VirtualHosts = virtualHosts(path)
		}
		all = append(all, t)
	}
	return all, nil
}

// virtualHosts are what a path says. WSO2's broker has carbon where others have
// the one that is always there.
func virtualHosts(path string) []string {
	if v, err := url.PathUnescape(path); err == nil && v != "" && v != "/" {
		return []string{v, "/"}
	}
	return []string{"/"}
}

func target(d Dialect, address, port string, secure bool) (Target, error) {
	host, given, err := net.SplitHostPort(address)
	if err != nil {
		host, given = strings.Trim(address, "[]"), ""
	}
	if port == "" {
		port = given
	}
	if port == "" {
		port = ports[d][0]
		if secure {
			port = ports[d][1]
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return Target{}, fmt.Errorf("%.20q is not a port", port)
	}
	if host == "" || strings.ContainsAny(host, " ()'\"") {
		return Target{}, fmt.Errorf("%.80q is not a host", host)
	}
	return Target{Dialect: d, Host: host, Port: port, TLS: secure}, nil
}

// authority takes a URL apart without insisting on escapes: passwords in these
// URLs are written as they are.
func authority(raw string) (user, pass, host, path string, err error) {
	_, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return "", "", "", "", errors.New("not a URL such as tcp://localhost:61616")
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, pass, _ = strings.Cut(rest[:at], ":")
		rest = rest[at+1:]
		user, pass = unescape(user), unescape(pass)
	}
	rest, _, _ = strings.Cut(rest, "?")
	host, path, _ = strings.Cut(rest, "/")
	return user, pass, host, path, nil
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// cutFold is strings.Cut in any case of ASCII letters. (strings.ToLower may change
// the length of what is not ASCII, and with it the place.)
func cutFold(s, sep string) (before, after string, ok bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

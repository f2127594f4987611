package conf

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// UserStore is where users are who are not in Config.Users: in the directory, and
// who is not there in the service. Each may be absent.
type UserStore struct {
	LDAP Directory
	HTTP WebService
}

// Directory is an LDAP directory.
type Directory struct {
	URLs            []string // none: there is none
	StartTLS        bool
	AuthoritiesFile string // PEM; "": the system's and Listener.TrustStore
	UserDN          string // template; "" to search
	BaseDN, Filter  string
	BindDN          string
	BindPassword    Secret
	Scopes          []string      // of all its users
	Timeout, Good   time.Duration // Good 0: nothing is remembered
}

// WebService is one that is sent names and passwords.
type WebService struct {
	URLs                     []string // none: there is none
	AuthoritiesFile          string   // as above
	Username                 string
	Password                 Secret
	NameField, PasswordField string
	AnswerField, AnswerValue string
	Scopes                   []string // of all its users
	Timeout, Good            time.Duration
}

const (
	ldapTable = "userStore.ldap."
	httpTable = "userStore.http."
)

var userStoreKeys = []key[Config]{
	{ldapTable + "urls", nil, "", urlsOf(func(c *Config) *[]string { return &c.UserStore.LDAP.URLs }, "ldaps", "ldap"),
		"LDAP directories, asked in turn until one answers: `ldaps://ldap.example.com`. Users of `b7a.users` are looked up there and nowhere else. See [name and password](authentication/basic.md)."},
	{ldapTable + "startTLS", nil, "", boolOf(func(c *Config) *bool { return &c.UserStore.LDAP.StartTLS }),
		"Whether a connection to an `ldap` URL is turned into one with TLS. Without TLS only this machine is asked."},
	{ldapTable + "authoritiesFile", nil, "", fileOf(func(c *Config) *string { return &c.UserStore.LDAP.AuthoritiesFile }),
		"PEM file with the authorities that the directories' certificates may be from. Absent: those of the system and of `listenerConfig.trustStorePath`."},
	{ldapTable + "userDN", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.LDAP.UserDN }, isTemplate),
		"Name of a user's entry, with `{user}` for the user: `uid={user},ou=people,dc=example,dc=com`. In a name of another form, such as `{user}@example.com`, users are letters, digits, `.`, `_` and `-`. Empty: the entry is searched for."},
	{ldapTable + "baseDN", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.LDAP.BaseDN }, anything),
		"Entry below which users are searched for."},
	{ldapTable + "filter", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.LDAP.Filter }, isTemplate),
		"What is searched for, with `{user}` for the user. It must find one entry. Absent: `(uid={user})`."},
	{ldapTable + "bindDN", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.LDAP.BindDN }, anything),
		"Name of the entry that may search. Empty: nobody's."},
	{ldapTable + "bindPassword", nil, "", secretOf(func(c *Config) *Secret { return &c.UserStore.LDAP.BindPassword }),
		"Its password."},
	{ldapTable + "scopes", nil, "", listOf(func(c *Config) *[]string { return &c.UserStore.LDAP.Scopes }),
		"Scopes that all its users have."},
	{ldapTable + "timeout", nil, "", durationOf(minTimeout, time.Minute, func(c *Config) *time.Duration { return &c.UserStore.LDAP.Timeout }),
		"How long a question may take in all; then 503."},
	{ldapTable + "cacheTime", nil, "", durationOf(0, time.Hour, func(c *Config) *time.Duration { return &c.UserStore.LDAP.Good }),
		"How long a password that was good is good without asking again. `0s`: not at all. What was refused is not remembered."},

	{httpTable + "urls", nil, "", urlsOf(func(c *Config) *[]string { return &c.UserStore.HTTP.URLs }, "https", "http"),
		"Web services that are sent a user's name and password as JSON, asked in turn until one answers: of users who are neither in `b7a.users` nor in the directory of `userStore.ldap`, which has to be searched then (`baseDN`). Without TLS only this machine is asked."},
	{httpTable + "authoritiesFile", nil, "", fileOf(func(c *Config) *string { return &c.UserStore.HTTP.AuthoritiesFile }),
		"PEM file with the authorities that the services' certificates may be from. Absent: those of the system and of `listenerConfig.trustStorePath`."},
	{httpTable + "username", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.HTTP.Username }, anything),
		"Our own name for the service (Basic). Empty: it wants none."},
	{httpTable + "password", nil, "", secretOf(func(c *Config) *Secret { return &c.UserStore.HTTP.Password }),
		"Its password."},
	{httpTable + "nameField", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.HTTP.NameField }, isPath),
		"Where the user's name stands in what is sent: members, with dots between."},
	{httpTable + "passwordField", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.HTTP.PasswordField }, isPath),
		"Where the password stands."},
	{httpTable + "answerField", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.HTTP.AnswerField }, isOptionalPath),
		"Where the answer stands in what comes back with a status from 200 to 299. Empty: such a status says yes."},
	{httpTable + "answerValue", nil, "", stringOf(func(c *Config) *string { return &c.UserStore.HTTP.AnswerValue }, anything),
		"What says yes there. Anything else says no."},
	{httpTable + "scopes", nil, "", listOf(func(c *Config) *[]string { return &c.UserStore.HTTP.Scopes }),
		"Scopes that all its users have."},
	{httpTable + "timeout", nil, "", durationOf(minTimeout, time.Minute, func(c *Config) *time.Duration { return &c.UserStore.HTTP.Timeout }),
		"How long a question may take in all; then 503."},
	{httpTable + "cacheTime", nil, "", durationOf(0, time.Hour, func(c *Config) *time.Duration { return &c.UserStore.HTTP.Good }),
		"How long a password that was good is good without asking again. `0s`: not at all. What was refused is not remembered."},
}

func defaultUserStore() UserStore {
	return UserStore{
		LDAP: Directory{Filter: "(uid={user})", Timeout: 3 * time.Second, Good: time.Minute},
		HTTP: WebService{
			NameField: "credentials.username", PasswordField: "credentials.password", AnswerField: "response.status", AnswerValue: "true",
			Timeout: 3 * time.Second, Good: time.Minute,
		},
	}
}

var (
	isTemplate = rule{func(s string) string {
		if s != "" && strings.Count(s, "{user}") != 1 {
			return fmt.Sprintf("%q does not have {user} in it once", s)
		}
		return ""
	}, textShape(`^$|\{user\}`)}
	isPath = rule{func(s string) string {
		if s == "" || strings.Contains("."+s+".", "..") {
			return fmt.Sprintf("%q is not the path of a member, such as credentials.username", s)
		}
		return ""
	}, textShape(`^[^.]+(\.[^.]+)*$`)}
	isOptionalPath = rule{func(s string) string {
		if s == "" {
			return ""
		}
		return isPath.check(s)
	}, textShape(`^([^.]+(\.[^.]+)*)?$`)}
)

// urlsOf is a list of URLs with one of two schemes, the first of which is safe.
func urlsOf(p func(*Config) *[]string, safe, plain string) codec[Config] {
	c := listOf(p)
	c.typ, c.shape = "list of URLs", listShape(`(`+anyCase(safe)+`|`+anyCase(plain)+`)://[^,\s@/?#]+([/?#][^,\s]*)?`, "")
	set := c.set
	c.set = func(c *Config, v value) string {
		if bad := set(c, v); bad != "" {
			return bad
		}
		for _, s := range *p(c) {
			u, err := url.Parse(s)
			switch {
			case err != nil || u.Hostname() == "" || u.Scheme != safe && u.Scheme != plain:
				return fmt.Sprintf("%s is not a URL such as %s://users.example.com", quoted(s), safe)
			case u.User != nil:
				return "credentials in the URL are not supported"
			}
		}
		return ""
	}
	return c
}

// checkUserStore sees to it that each user is in one place, and that passwords are
// not told to everybody on the way.
func (l *loader) checkUserStore() {
	s := &l.c.UserStore
	say := func(msg string, keys ...string) {
		for _, key := range keys {
			if a, ok := l.given(key); ok && !l.broken[key] && l.changed(key) {
				l.problem(a.at, a.written, msg, "")
				return
			}
		}
	}
	d, h := &s.LDAP, &s.HTTP
	if l.broken[ldapTable+"urls"] || l.broken[httpTable+"urls"] {
		return
	}
	if len(d.URLs) > 0 && len(h.URLs) > 0 && d.UserDN != "" {
		say("there is userStore.ldap, too, with userDN: that cannot tell who is not in the directory, and one user would have two passwords; search for users there ("+ldapTable+"baseDN)", httpTable+"urls")
	}
	if len(d.URLs) == 0 {
		say("needs "+ldapTable+"urls", ldapTable+"userDN", ldapTable+"baseDN", ldapTable+"bindDN", ldapTable+"filter", ldapTable+"startTLS")
	}
	if len(h.URLs) == 0 {
		say("needs "+httpTable+"urls", httpTable+"username", httpTable+"nameField", httpTable+"passwordField", httpTable+"answerField")
	}
	for _, list := range []struct {
		key, plain string
		urls       []string
		otherwise  string
	}{{ldapTable + "urls", "ldap", d.URLs, "; write ldaps, or set startTLS"}, {httpTable + "urls", "http", h.URLs, "; write https"}} {
		for _, s := range list.urls {
			if u, err := url.Parse(s); err == nil && u.Scheme == list.plain && !loopback(u.Hostname()) && !(list.plain == "ldap" && d.StartTLS) {
				say(fmt.Sprintf("%s: without TLS everybody on the way reads the passwords%s", s, list.otherwise), list.key)
			} else if err == nil && u.Scheme == "ldaps" && d.StartTLS {
				say("ldaps has TLS from the beginning: it goes with ldap", ldapTable+"startTLS")
			}
		}
	}
	if len(d.URLs) == 0 || l.broken[ldapTable+"userDN"] {
		return
	}
	switch {
	case d.UserDN == "" && d.BaseDN == "":
		say("needs userDN, or baseDN to search below", ldapTable+"urls")
	case d.UserDN != "" && (d.BaseDN != "" || d.BindDN != ""):
		say("there is userDN, which needs no search", ldapTable+"baseDN", ldapTable+"bindDN")
	case d.UserDN != "":
		if a, ok := l.given(ldapTable + "filter"); ok && d.Filter != "" && l.changed(ldapTable+"filter") {
			l.problem(a.at, a.written, "there is userDN, which needs no search", "")
		}
	case d.Filter == "":
		say("empty, and there is no userDN", ldapTable+"filter")
	}
	if d.UserDN != "" {
		d.Filter = ""
	}
	if (d.BindDN == "") != d.BindPassword.IsZero() {
		say("a name to bind as and its password go together", ldapTable+"bindDN", ldapTable+"bindPassword")
	}
}

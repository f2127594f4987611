package conf

import (
	"strings"

	"github.com/microgw/microgw/runtime/internal/policy/basic"
)

// User may call operations that ask for a name and a password.
type User struct {
	Name     string
	Password Secret // hashed
	Scopes   []string
}

var users = rows[User]{
	table: "b7a.users.*",
	since: "3.0",
	doc: "Who may call operations that ask for Basic authentication: a table for each user, `[b7a.users.alice]` or, as WSO2 3.0 writes it, " +
		"`[\"b7a.users.alice\"]`. A name that holds `_` cannot be given in the environment.",
	all: func(c *Config) *[]User { return &c.Users },
	id:  func(u *User) *string { return &u.Name },
	keys: []key[User]{
		{"password", nil, "3.0", passwordHash(),
			"The password, hashed: SHA-1 in hex as WSO2 ships it (upper or lower case), SHA-256 in hex, `@sha256:{...}`, `@sha384:{...}`, `@sha512:{...}`, bcrypt (`$2b$...`) or argon2id (`$argon2id$...`), which are the ones to use."},
		{"scopes", nil, "3.0", listOf(func(u *User) *[]string { return &u.Scopes }),
			"Scopes that the user has."},
	},
	check: func(c *Config, i int, r report) {
		u := &c.Users[i]
		switch {
		case strings.Contains(u.Name, ":"):
			r.problem("", "a user's name cannot hold a colon (RFC 7617, section 2)")
		case u.Password.IsZero():
			r.problem("password", "the user has no password")
		default:
			h, err := basic.ParseHash(u.Password.Reveal())
			if err != nil {
				return // said already
			}
			if !h.Slow() && h.Matches(nil) {
				r.problem("password", "is the hash of an empty password, which nobody may have")
				return
			}
			for _, known := range []string{"password", "admin", u.Name} {
				if !h.Slow() && h.Matches([]byte(known)) {
					r.warn("password", "everybody knows this password: it is one that WSO2 ships, or the user's name")
					return
				}
			}
		}
	},
}

// passwordHash is a secret whose form is known.
func passwordHash() codec[User] {
	c := secretOf(func(u *User) *Secret { return &u.Password })
	set := c.set
	c.set = func(u *User, v value) string {
		if bad := set(u, v); bad != "" || u.Password.IsZero() {
			return bad
		}
		if _, err := basic.ParseHash(u.Password.Reveal()); err != nil {
			return err.Error()
		}
		return ""
	}
	const hex = "[0-9A-Fa-f]"
	c.shape = textShape("^$|^" + hex + "{40}$|^" + hex + "{64}$|^@sha256:\\{" + hex + "{64}\\}$|^@sha384:\\{" + hex + "{96}\\}$|^@sha512:\\{" + hex + "{128}\\}$|^\\$2[aby]\\$|^\\$argon2id\\$")
	return c
}

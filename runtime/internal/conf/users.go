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
		{"password", nil, "3.0", secretOf(func(u *User) *Secret { return &u.Password }),
			"The password, hashed: SHA-1 in hex as WSO2 ships it (upper or lower case), SHA-256 in hex, `@sha256:{...}`, `@sha384:{...}`, `@sha512:{...}`, bcrypt (`$2b$...`) or argon2id (`$argon2id$...`), which are the ones to use."},
		{"scopes", nil, "3.0", listOf(func(u *User) *[]string { return &u.Scopes }),
			"Scopes that the user has."},
	},
	check: func(_ *Config, u *User, r report) {
		switch {
		case strings.Contains(u.Name, ":"):
			r.problem("", "a user's name cannot hold a colon (RFC 7617, section 2)")
		case u.Password.IsZero():
			r.problem("password", "the user has no password")
		default:
			h, err := basic.ParseHash(u.Password.Reveal())
			if err != nil {
				r.problem("password", err.Error())
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

// Package testport finds ports for the tests of this project that start a
// program and have to tell it where to listen.
//
// What surprises: a port that the kernel picks for a test is no safe choice. It
// is one of those that the kernel goes on giving to whoever connects or listens
// anywhere on the machine, and between the test's look and the program's start
// there is time for that, the more the slower the machine. The ports here are
// below that range, so that only somebody who wants this very port can take it.
package testport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports that Linux gives away begin at 32768, those of other systems above
// it; well-known ones are below 10000 as a rule.
const first, last = 10000, 32000

// Free returns a port of 127.0.0.1 at which nobody listens.
func Free() (string, error) {
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(last-first))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue // somebody has it
		}
		return port, l.Close()
	}
	return "", errors.New("no free port on 127.0.0.1")
}

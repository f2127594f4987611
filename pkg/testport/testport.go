// Package testport finds ports for the tests of this project that start a
// program and have to tell it where to listen.
//
// What surprises: a port that the kernel picks for a test is no safe choice. It
// is one of those that the kernel goes on giving to whoever connects or listens
// anywhere on the machine, and between the test's look and the program's start
// there is time for that, the more the slower the machine. The ports here are
// below that range, so that only somebody who wants this very port can take it.
//
// Nor does another test get the same port while this process lasts, in whichever
// process it runs: the UDP port of the same number, which nobody here has a use
// for, is held as a sign that it is taken.
package testport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports that Linux gives away begin at 32768, those of other systems above
// it; well-known ones are below 10000 as a rule.
const first, last = 10000, 32000

// The signs are let go of by the end of the process.
var (
	mu   sync.Mutex
	held []net.PacketConn // guarded by mu
)

// Free returns a port of 127.0.0.1 at which nobody listens.
func Free() (string, error) {
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(last-first))
		sign, err := net.ListenPacket("udp", "127.0.0.1:"+port)
		if err != nil {
			continue // another test has it
		}
		mu.Lock()
		held = append(held, sign)
		mu.Unlock()
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue // somebody has it
		}
		return port, l.Close()
	}
	return "", errors.New("no free port on 127.0.0.1")
}

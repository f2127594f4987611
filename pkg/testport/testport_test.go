package testport_test

import (
	"net"
	"testing"

	"github.com/microgw/microgw/pkg/testport"
)

func TestFree(t *testing.T) {
	port, err := testport.Free()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Errorf("somebody listens on port %s", port)
	}
}

// Of two tests each has its own.
func TestFreeOnce(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		port, err := testport.Free()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %s was given out twice", port)
		}
		seen[port] = true
	}
}

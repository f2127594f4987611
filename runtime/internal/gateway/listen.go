package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// listener is a socket for API traffic.
type listener struct {
	net.Listener
	name string // "http", "https" or "tokens"
}

// listenAll binds the ports that c asks for, of which there is at least one for
// APIs, or none at all. There is no admin listener if its default address is
// taken.
func listenAll(c *conf.Config) (api []listener, admin net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range api {
				l.Close()
			}
			if admin != nil {
				admin.Close()
			}
			api, admin = nil, nil
		}
	}()
	for _, p := range []struct {
		name, key string
		port      int
	}{
		{"http", "listenerConfig.httpPort", c.Listener.HTTPPort},
		{"https", "listenerConfig.httpsPort", c.Listener.HTTPSPort},
		{"tokens", "listenerConfig.tokenListenerPort", c.Listener.TokenPort},
	} {
		if p.port == conf.Off || p.name == "tokens" && !c.KeyManager.Enabled {
			continue
		}
		l, err := bind(p.key, net.JoinHostPort(c.Listener.Host, strconv.Itoa(p.port)))
		if err != nil {
			return api, nil, err
		}
		api = append(api, listener{l, p.name})
	}
	if c.Admin.Address != "" {
		admin, err = bind("admin.address", c.Admin.Address)
	}
	if err != nil && c.Source("admin.address") == "default" && errors.Is(err, errInUse) {
		// Nobody asked for that address, and APIs can be served without it:
		// the second gateway on a machine shall not need a conf to start.
		return api, nil, nil
	}
	return api, admin, err
}

// errInUse says that somebody else listens there.
var errInUse = errors.New("is in use by another process")

// bind listens on a TCP address; its error names the address and the conf key
// that it is from.
func bind(key, address string) (net.Listener, error) {
	// Go takes 0.0.0.0 for every address of both families; whoever writes it
	// in a conf means IPv4. For both there is "::".
	network := "tcp"
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		network = "tcp4"
	}
	l, err := net.Listen(network, address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s %w", key, address, errInUse)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: %s: no permission to listen there (a port below 1024 needs a privilege)", key, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %s is not an address of this machine", key, address)
	}
	// A net.OpError says "listen tcp ADDRESS: " before its reason.
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return nil, fmt.Errorf("%s: %s: %w", key, address, err)
}

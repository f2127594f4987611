package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// healthTimeout is less than what container engines wait by default.
const healthTimeout = 5 * time.Second

// health asks the gateway that runs beside it how it is: an image that holds
// nothing but this program has no other that could.
func (c *command) health(stdout io.Writer) error {
	cfg, err := conf.Load(c.conf())
	if err != nil {
		return err
	}
	address, err := dialable(cfg.Admin.Address)
	if err != nil {
		return err
	}
	u := "http://" + address + "/health"
	if c.ready {
		u = "http://" + address + "/ready"
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	// Without a proxy: it is a neighbour who is asked.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return fmt.Errorf("%s: %w", u, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("%s: %w", u, err)
	}
	text := strings.Join(strings.Fields(string(body)), " ")
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", u, resp.Status, text)
	}
	_, err = fmt.Fprintln(stdout, text)
	return err
}

// dialable is the address at which somebody on this machine reaches who listens
// on address.
func dialable(address string) (string, error) {
	if address == "" {
		return "", errors.New("admin.address is empty: there is no admin port to ask")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("admin.address: %w", err)
	}
	if port == "0" {
		return "", fmt.Errorf("admin.address is %s: any free port, so nobody knows which", address)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}

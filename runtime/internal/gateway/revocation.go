package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/admin"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/revocation"
	"github.com/microgw/microgw/runtime/internal/revocation/broker"
	"github.com/microgw/microgw/runtime/internal/revocation/broker/amqp091"
	"github.com/microgw/microgw/runtime/internal/revocation/broker/amqp10"
	"github.com/microgw/microgw/runtime/internal/revocation/broker/stomp"
	"github.com/microgw/microgw/runtime/internal/revocation/etcd"
	"github.com/microgw/microgw/runtime/internal/revocation/eventhub"
	"github.com/microgw/microgw/runtime/internal/revocation/source"
)

// revocations is which tokens are revoked, and whom that is learnt from. Neither
// a broker nor a store that is down keeps the gateway from starting, as in WSO2:
// it would take all clients' access away to keep out a few. The log and /ready say
// so.
type revocations struct {
	intake  *revocation.Intake
	sources []learnt
}

// learnt is one way in which revoked tokens are learnt of.
type learnt struct {
	follower
	kind string // realtime or persistent
}

type follower interface {
	Run(context.Context)
	Tried() <-chan struct{}
	Stepped() time.Time
	State() source.State
}

// newRevocations reads the conf; nobody is connected to. It returns nil if tokens
// cannot be revoked.
func newRevocations(c *conf.Config, roots *x509.CertPool, log *slog.Logger) (*revocations, error) {
	r := &c.Revocation
	if !r.Realtime.Enabled && !r.Persistent.Enabled {
		return nil, nil
	}
	k := &revocations{intake: &revocation.Intake{Set: revocation.NewSet(r.Capacity, time.Now()), Retention: r.Realtime.Retention, Log: log}}
	trust := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if r.Realtime.Enabled {
		b, err := broker.New(broker.Options{
			Factory: r.Realtime.Factory, URL: r.Realtime.URL.Reveal(), Username: r.Realtime.Username, Password: r.Realtime.Password.Reveal(),
			Topic: r.Realtime.Topic, Durable: r.Realtime.Durable, TLS: trust, Handle: k.intake.Message, Log: log,
			Dials: map[broker.Dialect]broker.Dial{broker.STOMP: stomp.Dial, broker.AMQP091: amqp091.Dial, broker.AMQP10: amqp10.Dial},
		})
		if err != nil {
			const key = "tokenRevocationConfig.realtime.jmsConnectionProviderUrl"
			return nil, fmt.Errorf("%s: %s: %w", c.Source(key), key, err)
		}
		k.sources = append(k.sources, learnt{b, "realtime"})
	}
	if p := &r.Persistent; p.Enabled && p.Type == "etcd" {
		e, err := etcd.New(etcd.Options{
			URL: p.Hostname, Username: p.Username, Password: p.Password.Reveal(), TLS: trust, Snapshot: p.SnapshotPath, Revoke: k.intake.Revoke, Log: log,
		})
		if err != nil {
			const key = "tokenRevocationConfig.persistent.hostname"
			return nil, fmt.Errorf("%s: %s: %w", c.Source(key), key, err)
		}
		k.sources = append(k.sources, learnt{e, "persistent"})
	}
	if p := &r.Persistent; p.Enabled && p.Type == "default" {
		k.sources = append(k.sources, learnt{eventhub.New(eventhub.Options{
			URL: p.EndpointURL, Username: p.Username, Password: p.Password.Reveal(), TLS: trust, Retention: r.Realtime.Retention, Revoke: k.intake.Revoke, Log: log,
		}), "persistent"})
	}
	return k, nil
}

// set is what tokens are looked up in.
func (k *revocations) set() *revocation.Set {
	if k == nil {
		return nil
	}
	return k.intake.Set
}

// run keeps up with what is revoked until ctx is done.
func (k *revocations) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range k.sources {
		wg.Go(func() { s.Run(ctx) })
	}
	wg.Wait()
}

// await waits until what is revoked is known or cannot be learnt just now.
func (k *revocations) await(ctx context.Context) { source.Await(ctx, k.sources) }

// sweep is for the watchdog: what has ended makes room, a part at a time.
func (k *revocations) sweep() { k.intake.Set.SweepSome(time.Now()) }

// state is for /ready.
func (k *revocations) state() *admin.Revocations {
	if k == nil {
		return nil
	}
	r := &admin.Revocations{Entries: k.intake.Set.Len(), Lost: k.intake.Set.Lost()}
	for _, o := range k.sources {
		s := o.State()
		r.Sources = append(r.Sources, admin.RevocationSource{
			Kind: o.kind, Source: s.Source, Connected: s.Connected, Since: s.Since.UTC(), Error: s.Error, Messages: s.Messages, LastMessageAge: age(s.Last),
			SnapshotAge: age(s.Snapshot),
		})
	}
	return r
}

// age is in seconds, nil if there is none.
func age(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	seconds := time.Since(t).Round(time.Millisecond).Seconds()
	return &seconds
}

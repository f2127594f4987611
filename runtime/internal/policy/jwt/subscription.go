package jwt

import (
	"errors"
	"fmt"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// Subscriptions says what the claim subscribedAPIs counts for, in which WSO2 API
// Manager lists what a token's application is subscribed to.
type Subscriptions uint8

const (
	// SubscriptionsIgnored: a token is good for every API.
	SubscriptionsIgnored Subscriptions = iota
	// SubscriptionsListed: a token that lists APIs is good for those, one that
	// lists none for all, as in WSO2 API Microgateway 3.0.
	SubscriptionsListed
	// SubscriptionsRequired: a token is good for the APIs that it lists, as in 3.1
	// with validateSubscription.
	SubscriptionsRequired
)

// maxSubscriptions bounds the APIs that one token lists.
const maxSubscriptions = 1000

// subscriptions reads the application and what it is subscribed to. What is not
// of their form refuses a token only if something depends on it.
func (c *claims) subscriptions(p *exchange.Principal, s Subscriptions) error {
	if value := c.get("application"); value != nil {
		a := exchange.Application{}
		err := strictjson.Object(value, func(name, value []byte) error {
			to := map[string]*string{"id": &a.ID, "uuid": &a.UUID, "name": &a.Name, "owner": &a.Owner, "tier": &a.Tier}[string(name)]
			if to == nil || len(value) == 0 || strictjson.Null(value) {
				return nil
			}
			if text, ok := strictjson.String(value); ok {
				*to = text
			} else if c := value[0]; '0' <= c && c <= '9' { // id is a number
				*to = string(value)
			}
			return nil
		})
		if err == nil {
			p.Application = a
		}
	}
	value := c.get("subscribedAPIs")
	if value == nil {
		return nil
	}
	var list []exchange.Subscription
	err := strictjson.Elements(value, func(element []byte) error {
		if len(list) == maxSubscriptions {
			return fmt.Errorf("more than %d", maxSubscriptions)
		}
		var one exchange.Subscription
		err := strictjson.Object(element, func(name, value []byte) error {
			return strictjson.Text(name, value, map[string]*string{"name": &one.API, "version": &one.Version, "subscriptionTier": &one.Tier}[string(name)])
		})
		if err != nil {
			return err
		}
		if one.API == "" {
			return errors.New("one without a name")
		}
		list = append(list, one)
		return nil
	})
	switch {
	case err == nil:
		p.Subscriptions = list
	case s != SubscriptionsIgnored:
		return fmt.Errorf("subscribedAPIs: %w", err)
	}
	return nil
}

var errNotSubscribed = fault.SubscriptionMissing.Becausef("the API is not one that the token's application is subscribed to")

// allows is nil if p may call every API.
func (s Subscriptions) allows(p *exchange.Principal) func(*exchange.Exchange) error {
	if s == SubscriptionsIgnored || s == SubscriptionsListed && len(p.Subscriptions) == 0 {
		return nil
	}
	return func(x *exchange.Exchange) error {
		if r := x.Route; r == nil || p.Subscribed(r.API, r.APIVersion) == nil {
			return errNotSubscribed
		}
		return nil
	}
}

package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/revocation/broker"
)

const (
	activeMQ = "org.apache.activemq.jndi.ActiveMQInitialContextFactory"
	wso2     = "bmbInitialContextFactory"
	qpid     = "org.apache.qpid.jms.jndi.JmsInitialContextFactory"
)

func describe(all []broker.Target) string {
	var lines []string
	for _, t := range all {
		s := t.String()
		if t.Dialect == broker.AMQP091 {
			s += fmt.Sprintf(" %q", t.VirtualHosts)
		}
		if t.Username != "" {
			s += " as " + t.Username + ":" + t.Password
		}
		lines = append(lines, s)
	}
	return strings.Join(lines, "\n")
}

// What is tried, in order.
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		factory, url, user, password string
		want                         string
	}{
		{wso2, "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'", "", "",
			"AMQP 0-9-1 on localhost:5672 [\"carbon\" \"/\"] as admin:admin\nAMQP 1.0 on localhost:5672 as admin:admin"},
		{wso2, "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'", "me", "secret",
			"AMQP 0-9-1 on localhost:5672 [\"carbon\" \"/\"] as me:secret\nAMQP 1.0 on localhost:5672 as me:secret"},
		{wso2, "amqp://a:p@ss@carbon/carbon?failover='roundrobin'&brokerlist='tcp://h1:5672?retries='5'&connectdelay='50';ssl://h2:5671'", "", "",
			"AMQP 0-9-1 on h1:5672 [\"carbon\" \"/\"] as a:p@ss\nAMQP 1.0 on h1:5672 as a:p@ss\nAMQP 0-9-1 on h2:5671 with TLS [\"carbon\" \"/\"] as a:p@ss\nAMQP 1.0 on h2:5671 with TLS as a:p@ss"},
		{wso2, "amqp://a:b@carbon/?brokerlist='tcp://h:8672?ssl='true''", "", "",
			"AMQP 0-9-1 on h:8672 with TLS [\"/\"] as a:b\nAMQP 1.0 on h:8672 with TLS as a:b"},
		{activeMQ, "tcp://localhost:61616", "admin", "admin",
			"STOMP on localhost:61616 as admin:admin\nSTOMP on localhost:61613 as admin:admin\nAMQP 1.0 on localhost:61616 as admin:admin\nAMQP 1.0 on localhost:5672 as admin:admin"},
		{activeMQ, "ssl://b:61617?socket.verifyHostName=false", "", "",
			"STOMP on b:61617 with TLS\nSTOMP on b:61612 with TLS\nAMQP 1.0 on b:61617 with TLS\nAMQP 1.0 on b:5671 with TLS"},
		{activeMQ, "auto+nio+ssl://b:61617", "", "",
			"STOMP on b:61617 with TLS\nSTOMP on b:61612 with TLS\nAMQP 1.0 on b:61617 with TLS\nAMQP 1.0 on b:5671 with TLS"},
		{activeMQ, "failover:(stomp://a:61613,stomp+ssl://b)?randomize=false", "", "", "STOMP on a:61613\nSTOMP on b:61612 with TLS"},
		{activeMQ, "failover://(nio://a:1)", "", "", "STOMP on a:1\nSTOMP on a:61613\nAMQP 1.0 on a:1\nAMQP 1.0 on a:5672"},
		{activeMQ, "failover:stomp://a,stomp://a", "", "", "STOMP on a:61613"},
		{activeMQ, "amqp://b", "", "", "AMQP 1.0 on b:5672\nAMQP 0-9-1 on b:5672 [\"/\"]"},
		{"", "amqp://u:%70w@b/prod", "", "", "AMQP 0-9-1 on b:5672 [\"prod\" \"/\"] as u:pw\nAMQP 1.0 on b:5672 as u:pw"},
		{"", "amqps://b/%2f", "", "", "AMQP 0-9-1 on b:5671 with TLS [\"/\"]\nAMQP 1.0 on b:5671 with TLS"},
		{qpid, "amqp+ssl://b", "", "", "AMQP 1.0 on b:5671 with TLS\nAMQP 0-9-1 on b:5671 with TLS [\"/\"]"},
		{"", "amqp10://b", "", "", "AMQP 1.0 on b:5672"},
		{"", "amqp10s://b", "", "", "AMQP 1.0 on b:5671 with TLS"},
		{"", "amqp091://b", "", "", "AMQP 0-9-1 on b:5672 [\"/\"]"},
		{"", "stomp://[::1]:61613", "", "", "STOMP on [::1]:61613"},
		{wso2, "tcp://b:5672", "", "", "AMQP 0-9-1 on b:5672 [\"/\"]\nAMQP 1.0 on b:5672"},
		{"", "tcp://b:5672", "", "", "AMQP 0-9-1 on b:5672 [\"/\"]\nAMQP 1.0 on b:5672\nSTOMP on b:5672"},
	} {
		all, err := broker.Parse(tt.factory, tt.url, tt.user, tt.password)
		if got := describe(all); err != nil || got != tt.want {
			t.Errorf("%s\ngot\n%s\n%v\nwant\n%s", tt.url, got, err, tt.want)
		}
	}
	for url, want := range map[string]string{
		"": "no URL", "localhost": "not a URL", "mqtt://b:1883": "none of tcp", "vm://localhost": "none of tcp", "tcp://b:0": "not a port", "tcp://b:x": "not a port",
		"tcp://": "not a host", "failover:(tcp://a": "no closing bracket", "failover:()": "no URL in it", "amqp://a:b@c/d?brokerlist=''": "names no broker",
		"http://b:8161": "none of tcp",
	} {
		if all, err := broker.Parse("", url, "", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %s", url, all, err, want)
		}
	}
}

// What comes out of any URL can be dialled, and none gives up TLS.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"amqp://a:b@c/d?brokerlist='tcp://h:1?ssl='true';ssl://x:2'", "failover:(tcp://a:1,ssl://b)?x=y", "stomp+nio+ssl://h", "tcp://[::1]:5", "\xff\x7fd?brokerlist="} {
		f.Add(activeMQ, s)
		f.Add(wso2, s)
	}
	f.Fuzz(func(t *testing.T, factory, url string) {
		all, err := broker.Parse(factory, url, "", "")
		if (err == nil) != (len(all) > 0) {
			t.Fatalf("%v, %v", all, err)
		}
		for _, a := range all {
			if a.Host == "" || a.Port == "" || a.Dialect == "" || (a.Dialect == broker.AMQP091) != (len(a.VirtualHosts) > 0) {
				t.Fatalf("%+v", a)
			}
			if strings.HasPrefix(url, "ssl://") && !a.TLS {
				t.Fatalf("%+v of %s", a, url)
			}
		}
	})
}

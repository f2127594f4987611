package message_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

// wso2Map is what a Java client of WSO2's broker sends.
var wso2Map = unhex("0000003400000003" + "0b" + hex.EncodeToString([]byte("isThrottled")) + "0801" +
	"0c" + hex.EncodeToString([]byte("revokedToken")) + "950005" + hex.EncodeToString([]byte("tok-1")) +
	"03" + hex.EncodeToString([]byte("ttl")) + "310000000000002710")

func unhex(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2ln"

func TestDecode(t *testing.T) {
	type m = message.Message
	type p = map[string]any
	for _, tt := range []struct {
		name string
		in   m
		want string // ids
		ttl  time.Duration
		exp  int64
		typ  string
		err  string
	}{
		{name: "map as XML", in: m{Body: []byte(`<map><entry><string>ttl</string><long>10000</long></entry><entry><string>revokedToken</string><string>abc</string></entry></map>`)}, want: "abc", ttl: 10000 * time.Second},
		{name: "map as indented XML", in: m{Body: []byte("<map>\n  <entry>\n    <string>revokedToken</string>\n    <string>a&amp;b</string>\n  </entry>\n</map>\n")}, want: "a&b"},
		{name: "map as JSON", in: m{Body: []byte(`{"map":{"entry":[{"string":["revokedToken","abc"]},{"string":"ttl","long":10000}]}}`)}, want: "abc", ttl: 10000 * time.Second},
		{name: "map of one entry as JSON", in: m{Body: []byte(`{"map":{"entry":{"string":["revokedToken","abc"]}}}`)}, want: "abc"},
		{name: "map as JSON with a number for an id", in: m{Body: []byte(`{"map":{"entry":[{"string":["revokedToken",12345678901234567890]}]}}`)}, want: "12345678901234567890"},
		{name: "amqp/map", in: m{ContentType: "amqp/map", Body: []byte(wso2Map)}, want: "tok-1", ttl: 10000 * time.Second},
		{name: "amqp/map without a content type", in: m{Body: []byte(wso2Map)}, want: "tok-1", ttl: 10000 * time.Second},
		{name: "map of AMQP 1.0", in: m{Map: p{"revokedToken": "abc", "ttl": int64(5), "expiryTime": uint64(1800000000000)}}, want: "abc", ttl: 5 * time.Second, exp: 1800000000},
		{name: "properties and no body", in: m{Properties: p{"revokedToken": "abc", "ttl": "10000", "message-id": "1"}}, want: "abc", ttl: 10000 * time.Second},
		{name: "properties and a body for people", in: m{Properties: p{"revokedToken": "abc"}, Body: []byte("gone")}, want: "abc"},
		{name: "text", in: m{Body: []byte(" abc\n")}, want: "abc"},
		{name: "text, the rest in properties", in: m{Body: []byte("abc"), Properties: p{"expiryTime": "1800000000000", "ttl": "60", "revoked_token": ""}}, want: "abc", ttl: time.Minute, exp: 1800000000},
		{name: "text with a whole token", in: m{Body: []byte("Bearer " + jwt)}, want: jwt},
		{name: "text that ends in =", in: m{Body: []byte("b3BhcXVl==")}, want: "b3BhcXVl=="},
		{name: "form", in: m{ContentType: "application/x-www-form-urlencoded", Body: []byte("revokedToken=a%2Bb&ttl=60&type=JWT")}, want: "a+b", ttl: time.Minute, typ: "JWT"},
		{name: "form that calls itself text", in: m{ContentType: "text/plain; charset=utf-8", Body: []byte("ttl=60&revokedToken=abc")}, want: "abc", ttl: time.Minute},
		{name: "JSON", in: m{ContentType: "application/json", Body: []byte(`{"revokedToken":"abc","ttl":60,"expiryTime":1800000000000,"type":"opaque"}`)}, want: "abc", ttl: time.Minute, exp: 1800000000, typ: "opaque"},
		{name: "JSON in other names and seconds", in: m{Body: []byte(`{"revoked_token":"abc","expiry_time":"1800000000"}`)}, want: "abc", exp: 1800000000},
		{name: "JSON in WSO2's envelope", in: m{Body: []byte(`{"event":{"payloadData":{"revokedToken":"abc","ttl":"-1"}}}`)}, want: "abc"},
		{name: "JSON string", in: m{Body: []byte(`"abc"`)}, want: "abc"},
		{name: "JSON list", in: m{Body: []byte(`["a",{"revokedToken":"b"}]`)}, want: "a b"},
		{name: "JSON list of which one names nothing", in: m{Body: []byte(`["a",{"x":1},{"revokedToken":"b"}]`)}, want: "a b", err: "no member named revokedToken"},
		{name: "JSON list of which one is no id", in: m{Body: []byte(`["a\u0001","b",["c","d\n\u0002e"]]`)}, want: "b c", err: "control character"},
		{name: "JSON, one after the other", in: m{Body: []byte("{\"revokedToken\":\"a\"}\n\"b\"\n")}, want: "a b"},
		{name: "JSON and more", in: m{Body: []byte(`["a"] x`)}, want: "a", err: "JSON: invalid character"},
		{name: "form of which one is no id", in: m{Body: []byte("revokedToken=a&revokedToken=b%01&revokedToken=c&ttl=60")}, want: "a c", ttl: time.Minute, err: "control character"},
		{name: "form of which one is not well-formed", in: m{Body: []byte("revokedToken=a&revokedToken=%zz&revokedToken=c")}, want: "a c", err: "form: a value is not well-formed"},
		{name: "form with others' members", in: m{Body: []byte("%zz=1&x=%zz&revoked_token=a")}, want: "a"},
		{name: "form whose first member is empty", in: m{Body: []byte("revokedToken=&revokedToken=a")}, want: "a", err: "no member"},
		{name: "a ttl that is none", in: m{Body: []byte(`{"revokedToken":"abc","ttl":"soon","expiryTime":"x"}`)}, want: "abc"},
		{name: "form with two ids", in: m{Body: []byte("revokedToken=a&ttl=60&revokedToken=b")}, want: "a b", ttl: time.Minute},
		{name: "an expiryTime that is no date", in: m{Body: []byte(`{"revokedToken":"abc","expiryTime":3600}`)}, want: "abc"},
		{name: "a ttl beyond bounds", in: m{Body: []byte(`{"revokedToken":"abc","ttl":1e300}`)}, want: "abc", ttl: 100 * 365 * 24 * time.Hour},
		{name: "bytes of a text as a property", in: m{Properties: p{"revokedToken": []byte("abc")}}, want: "abc"},

		{name: "nothing", in: m{}, err: "no member named revokedToken"},
		{name: "blanks", in: m{Body: []byte(" \n")}, err: "no member"},
		{name: "a throttling message", in: m{Map: p{"throttleKey": "x", "isThrottled": true}}, err: "no member"},
		{name: "an empty id", in: m{Body: []byte(`{"revokedToken":""}`)}, err: "no member"},
		{name: "JSON cut short", in: m{Body: []byte(`{"revokedToken":"abc"`)}, err: "JSON: unexpected EOF"},
		{name: "XML cut short", in: m{Body: []byte(`<map><entry>`)}, err: "XML: "},
		{name: "XML of another kind", in: m{Body: []byte(`<html></html>`)}, err: "XML: not a map"},
		{name: "amqp/map cut short", in: m{ContentType: "amqp/map", Body: []byte(wso2Map[:20])}, err: "amqp/map: its size"},
		{name: "amqp/map that lies", in: m{ContentType: "amqp/map", Body: []byte(unhex("0000000800000001" + "ff610000"))}, err: "amqp/map: cut short"},
		{name: "noise", in: m{Body: []byte{0xff, 0xfe, 1, 2}}, err: "neither text nor a map"},
		{name: "Java serialization", in: m{Body: []byte("\xac\xed\x00\x05sr\x00\x11java.util.HashMap")}, err: "neither text nor a map"},
		{name: "control characters", in: m{Body: []byte("a\x01b")}, err: "control character"},
		{name: "too long an id", in: m{Body: []byte(strings.Repeat("x", message.MaxID+1))}, err: "longer than"},
		{name: "too large", in: m{Body: make([]byte, message.MaxBody+1)}, err: "more than"},
		{name: "deep", in: m{Body: []byte(strings.Repeat("[", 20) + "1" + strings.Repeat("]", 20))}, err: "too deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := message.Decode(tt.in)
			if (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) || (tt.want == "") != (len(all) == 0) {
				t.Fatalf("got %v, %v, want %q", all, err, tt.err)
			}
			if len(all) == 0 {
				return
			}
			var ids []string
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			exp := int64(0)
			if !all[0].Expires.IsZero() {
				exp = all[0].Expires.Unix()
			}
			if strings.Join(ids, " ") != tt.want || all[0].TTL != tt.ttl || exp != tt.exp || all[0].Type != tt.typ {
				t.Errorf("got %+v", all)
			}
		})
	}
}

// A message of more ids than a map may have members: all are taken.
func TestDecodeMany(t *testing.T) {
	for name, body := range map[string]string{
		"list of ids":     `["x"` + strings.Repeat(`,"x"`, 20_000) + `]`,
		"list of objects": `[{"revokedToken":"x"}` + strings.Repeat(`,{"revokedToken":"x"}`, 20_000) + `]`,
		"form":            "revokedToken=x" + strings.Repeat("&revokedToken=x", 20_000),
	} {
		all, err := message.Decode(message.Message{Body: []byte(body)})
		if want := strings.Count(body, "x"); err != nil || len(all) != want {
			t.Errorf("%s: %d of %d, %v", name, len(all), want, err)
		}
	}
}

// Whatever arrives: no panic, and what comes out can be put into a set and into a
// log. The same twice says the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{wso2Map, `{"map":{"entry":[{"string":["revokedToken","abc"]},{"string":"ttl","long":10000}]}}`,
		`<map><entry><string>revokedToken</string><string>abc</string></entry></map>`, "revokedToken=x&ttl=1", `["a"]`, jwt, "\x00"} {
		for _, c := range []string{"", "amqp/map", "application/json", "text/plain"} {
			f.Add(c, []byte(s), "ttl", "1")
		}
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte, name, value string) {
		m := message.Message{ContentType: contentType, Body: body, Properties: map[string]any{name: value}}
		all, err := message.Decode(m)
		if err == nil && len(all) == 0 {
			t.Fatal("no revocation and no error")
		}
		for _, r := range all {
			if r.ID == "" || len(r.ID) > message.MaxID || strings.IndexFunc(r.ID, unicode.IsControl) >= 0 || r.TTL < 0 || len(r.Type) > 64 {
				t.Fatalf("%+v", r)
			}
		}
		again, err2 := message.Decode(m)
		if len(again) != len(all) || errors.Is(err, message.ErrNothing) != errors.Is(err2, message.ErrNothing) {
			t.Fatalf("%v and %v", all, again)
		}
	})
}

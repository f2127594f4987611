package basic_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
)

// The password "password", as the forms that are read.
var hashes = map[string]string{
	"SHA-1, upper case":   "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8",
	"SHA-1, lower case":   "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
	"SHA-256":             "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
	"SHA-256, as WSO2":    "@sha256:{5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8}",
	"SHA-384, as WSO2":    "@sha384:{a8b64babd0aca91a59bdbb7761b421d4f2bb38280d3a75ba0f21f2bebc45583d446c598660c94ce680c47d19c30783a7}",
	"SHA-512, as WSO2":    "@sha512:{b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb980b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86}",
	"argon2id (RFC 9106)": "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
}

func TestHashes(t *testing.T) {
	b, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	hashes["bcrypt"] = string(b)
	hashes["bcrypt of PHP"] = "$2y$" + string(b)[4:]
	for name, s := range hashes {
		t.Run(name, func(t *testing.T) {
			h, err := basic.ParseHash(s)
			if err != nil {
				t.Fatal(err)
			}
			if !h.Matches([]byte("password")) {
				t.Error("does not match its password")
			}
			wrongs := []string{"Password", "", "password ", "passwor", s}
			if h.Slow() {
				wrongs = wrongs[:1]
			}
			for _, wrong := range wrongs {
				if h.Matches([]byte(wrong)) {
					t.Errorf("matches %q", wrong)
				}
			}
			if slow := strings.HasPrefix(s, "$"); h.Slow() != slow || h.Weak() == slow {
				t.Errorf("slow %v, weak %v", h.Slow(), h.Weak())
			}
		})
	}
}

func TestParseHashRefuses(t *testing.T) {
	sha256 := "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
	for name, s := range map[string]string{
		"empty":                      "",
		"the password itself":        "password",
		"39 digits":                  "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD",
		"40 letters that are no hex": "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FDx",
		"MD5":                        "5f4dcc3b5aa765d61d8327deb882cf99",
		"unknown digest":             "@sha1:{5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8}",
		"no braces":                  "@sha256:" + sha256,
		"one brace":                  "@sha256:{" + sha256,
		"digest of another length":   "@sha512:{" + sha256 + "}",
		"encrypted by WSO2":          "@encrypted:{abc}",
		"bcrypt, cut short":          "$2b$10$N9qo8uLOickgx2ZMRZoMye",
		"bcrypt, cost 31":            "$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"argon2i":                    "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"argon2id, old version":      "$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"argon2id, 4 GiB":            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"argon2id, no memory":        "$argon2id$v=19$t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"argon2id, memory twice":     "$argon2id$v=19$m=8,m=8,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"argon2id, no passes":        "$argon2id$v=19$m=65536,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"argon2id, empty hash":       "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$",
		"argon2id, one byte":         "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CQ",
	} {
		if _, err := basic.ParseHash(s); err == nil {
			t.Errorf("%s: accepted", name)
		} else if len(s) > 20 && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error quotes it: %v", name, err)
		}
	}
}

var here = netip.MustParseAddr("192.0.2.1")

func file(t *testing.T, users ...basic.User) *basic.File {
	t.Helper()
	f, err := basic.NewFile(users)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func hash(t *testing.T, s string) *basic.Hash {
	t.Helper()
	h, err := basic.ParseHash(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func request(fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{}
	for i := 0; i < len(fields); i += 2 {
		x.Request.Add([]byte(fields[i]), []byte(fields[i+1]))
	}
	return x
}

func credentials(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func TestProve(t *testing.T) {
	s := basic.New("Authorization", file(t,
		basic.User{Name: "generalUser1", Hash: hash(t, "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"), Scopes: []string{"read"}},
		basic.User{Name: "Zoë", Hash: hash(t, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8")},
		basic.User{Name: "empty", Hash: hash(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")}, // the empty password's
		basic.User{Name: "nul", Hash: hash(t, "882a20e6379eb83aecb916f4b9ea79c1e6c08a0d80f6ad1dc9a9421758246001")},   // that of "p\0"
	))
	for name, c := range map[string]struct {
		fields []string
		want   *fault.Fault // nil: in
	}{
		"good":                          {[]string{"Authorization", credentials("generalUser1:password")}, nil},
		"scheme in another case":        {[]string{"authorization", "bASIC  " + base64.StdEncoding.EncodeToString([]byte("generalUser1:password")) + " "}, nil},
		"UTF-8 name":                    {[]string{"Authorization", credentials("Zoë:password")}, nil},
		"empty password":                {[]string{"Authorization", credentials("empty:")}, fault.WrongPassword},
		"control character in it":       {[]string{"Authorization", credentials("nul:p\x00")}, fault.WrongPassword},
		"wrong password":                {[]string{"Authorization", credentials("generalUser1:Password")}, fault.WrongPassword},
		"colons belong to the password": {[]string{"Authorization", credentials("generalUser1:password:")}, fault.WrongPassword},
		"unknown user":                  {[]string{"Authorization", credentials("nobody:password")}, fault.WrongPassword},
		"user in another case":          {[]string{"Authorization", credentials("GeneralUser1:password")}, fault.WrongPassword},
		"the hash as the password":      {[]string{"Authorization", credentials("generalUser1:5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8")}, fault.WrongPassword},
		"no user":                       {[]string{"Authorization", credentials(":password")}, fault.WrongPassword},
		"control character in the name": {[]string{"Authorization", credentials("generalUser1\x00:password")}, fault.WrongPassword},
		"Latin-1":                       {[]string{"Authorization", credentials("Zo\xeb:password")}, fault.WrongPassword},
		"no colon":                      {[]string{"Authorization", credentials("generalUser1")}, fault.MalformedPassword},
		"not base64":                    {[]string{"Authorization", "Basic generalUser1:password"}, fault.MalformedPassword},
		"base64 with loose bits":        {[]string{"Authorization", "Basic YTpiYh=="}, fault.MalformedPassword},
		"base64 for URLs":               {[]string{"Authorization", "Basic " + base64.URLEncoding.EncodeToString([]byte("a:\xff\xff\xff"))}, fault.MalformedPassword},
		"base64 with a line end":        {[]string{"Authorization", credentials("generalUser1:password") + "\n"}, fault.MalformedPassword},
		"nothing behind the scheme":     {[]string{"Authorization", "Basic"}, fault.MalformedPassword},
		"very long":                     {[]string{"Authorization", credentials("generalUser1:" + strings.Repeat("x", 9000))}, fault.WrongPassword},
		"twice":                         {[]string{"Authorization", credentials("generalUser1:password"), "Authorization", credentials("generalUser1:password")}, fault.WrongPassword},
		"none":                          {nil, fault.MissingCredentials},
		"empty":                         {[]string{"Authorization", " "}, fault.MissingCredentials},
		"a token":                       {[]string{"Authorization", "Bearer abc"}, fault.InvalidScheme},
		"in another header":             {[]string{"X-Authorization", credentials("generalUser1:password")}, fault.MissingCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			x := request(c.fields...)
			p, err := s.Prove(x)
			if c.want != nil {
				if !errors.Is(err, c.want) || p != nil {
					t.Fatalf("got %v, %v; want %v", p, err, c.want)
				}
				return
			}
			if err != nil || p.Scheme != "basic" || p.Username == "" || p.KeyType != "PRODUCTION" {
				t.Fatalf("got %+v, %v", p, err)
			}
			s.Hide(x)
			if x.Request.Count("authorization") != 0 {
				t.Error("the credentials are forwarded")
			}
		})
	}
}

// A password must not get into a log by an error.
func TestErrorsHideThePassword(t *testing.T) {
	s := basic.New("Authorization", file(t))
	for _, c := range []string{"user:hunter2", "hunter2", strings.Repeat("x", 300) + ":hunter2"} {
		_, err := s.Prove(request("Authorization", credentials(c)))
		if err == nil || strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 500 {
			t.Errorf("%q: %v", c, err)
		}
	}
}

// Hide leaves what is not its own to the schemes whose it is.
func TestHideOthers(t *testing.T) {
	x := request("Authorization", "Bearer abc")
	basic.New("Authorization", file(t)).Hide(x)
	if x.Request.Count("authorization") != 1 {
		t.Error("a token was taken out")
	}
}

func TestSlowHashesAreRemembered(t *testing.T) {
	b, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	f := file(t, basic.User{Name: "a", Hash: hash(t, string(b))}, basic.User{Name: "a:b"[:1] + "b", Hash: hash(t, hashes["SHA-256"])})
	for range 3 {
		if p, err := f.Check(here, []byte("a"), []byte("secret")); err != nil || p.Username != "a" {
			t.Errorf("got %v, %v", p, err)
		}
		for _, pair := range [][2]string{{"a", "secre"}, {"a", ""}, {"b", "secret"}, {"ab", "secret"}, {"", "secret"}} {
			if _, err := f.Check(here, []byte(pair[0]), []byte(pair[1])); !errors.Is(err, basic.ErrRefused) {
				t.Errorf("%v: %v", pair, err)
			}
		}
	}
}

func TestNewFileRefuses(t *testing.T) {
	h := hash(t, hashes["SHA-256"])
	for name, users := range map[string][]basic.User{
		"colon in a name": {{Name: "a:b", Hash: h}}, "no name": {{Hash: h}}, "no hash": {{Name: "a"}}, "twice": {{Name: "a", Hash: h}, {Name: "a", Hash: h}},
	} {
		if _, err := basic.NewFile(users); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Users who cannot be asked are not the client's fault.
func TestUnavailable(t *testing.T) {
	s := basic.New("Authorization", broken{})
	if _, err := s.Prove(request("Authorization", credentials("a:b"))); !errors.Is(err, fault.UsersUnavailable) {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Check(_ netip.Addr, _, _ []byte) (*exchange.Principal, error) {
	return nil, fmt.Errorf("directory: connection refused")
}

func FuzzProve(f *testing.F) {
	for _, s := range []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("a:b")), "Basic ", "Basic =", "basic\tYTpi", "Bearer x"} {
		f.Add(s)
	}
	users, err := basic.NewFile(nil)
	if err != nil {
		f.Fatal(err)
	}
	s := basic.New("Authorization", users)
	f.Fuzz(func(t *testing.T, value string) {
		// Whatever is sent, where there are no users nobody gets in.
		if p, err := s.Prove(request("Authorization", value)); err == nil || p != nil {
			t.Errorf("%q: let in as %v", value, p)
		}
	})
}

// bcrypt does not look at what comes behind 72 bytes.
func TestLongPasswords(t *testing.T) {
	long := []byte(strings.Repeat("long password ", 10))
	b, err := bcrypt.GenerateFromPassword(long[:72], bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h := hash(t, string(b))
	if !h.Matches(long[:72]) {
		t.Error("72 bytes are refused")
	}
	for _, n := range []int{71, 73, len(long)} {
		if h.Matches(long[:n]) {
			t.Errorf("%d bytes are taken for the first 72", n)
		}
	}
}

// Whoever floods with guesses is in his own way, and in no other address's: who
// has not called for long waits for the guess that is being looked at and for the
// next one at most.
func TestFloodFromOneAddress(t *testing.T) {
	const cost = time.Second // of a password
	synctest.Test(t, func(t *testing.T) {
		f := file(t, basic.User{Name: "a", Hash: basic.SlowHash(func(p []byte) bool { time.Sleep(cost); return string(p) == "secret" })})
		over := make(chan struct{})
		var flood sync.WaitGroup
		turnedAway := 0
		var mu sync.Mutex
		for i := range 40 {
			flood.Go(func() {
				// From all over a network that one customer is given.
				from := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)})
				for n := 0; ; n++ {
					select {
					case <-over:
						return
					default:
					}
					_, err := f.Check(from, []byte("a"), fmt.Appendf(nil, "guess %d %d", i, n))
					if err == nil {
						t.Error("a guess is let in")
					}
					if !errors.Is(err, basic.ErrRefused) {
						mu.Lock()
						turnedAway++
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Minute)
		for i := range 5 {
			start := time.Now()
			// Each time another address, and long after the pair was good the last time.
			from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			p, err := f.Check(from, []byte("a"), []byte("secret"))
			if err != nil || p.Username != "a" {
				t.Errorf("from an idle address: %v, %v", p, err)
			}
			if took := time.Since(start); took > 3*cost {
				t.Errorf("it took %v", took)
			}
			time.Sleep(2 * time.Minute)
		}
		close(over)
		flood.Wait()
		if turnedAway == 0 {
			t.Error("it was no flood")
		}
	})
}

// Equal good pairs at one time are one check: a client that opens many connections
// is in nobody's way.
func TestEqualPairsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		computed := 0
		f := file(t, basic.User{Name: "a", Hash: basic.SlowHash(func(p []byte) bool {
			computed++
			time.Sleep(time.Second)
			return string(p) == "secret"
		})})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := f.Check(here, []byte("a"), []byte("secret")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if computed != 1 {
			t.Errorf("computed %d times", computed)
		}
	})
}

// What is remembered is bounded, and when it is full a few are forgotten and not
// all.
func TestManyPairs(t *testing.T) {
	checks := basic.NewChecks(basic.ChecksOptions{AtOnce: 1, Within: time.Minute, Good: time.Hour})
	asked := 0
	ask := func(n int) {
		_, err := checks.Do(here, fmt.Append(nil, n), []byte("secret"), func(context.Context) (*exchange.Principal, error) {
			asked++
			return &exchange.Principal{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const users = 10_100 // a hundred more than there is room for
	for round := range 2 {
		for n := range users {
			ask(n)
		}
		if round == 0 && asked != users {
			t.Errorf("asked about %d users of %d", asked, users)
		}
	}
	if again := asked - users; again < 100 || again > 1000 {
		t.Errorf("%d users were forgotten", again)
	}
}

// The users are told where the client is, so that they can be fair.
func TestClient(t *testing.T) {
	x := request("Authorization", credentials("a:b"))
	x.Client = here
	var from witness
	if _, err := basic.New("Authorization", &from).Prove(x); err == nil || from.Addr != here {
		t.Errorf("from %v: %v", from, err)
	}
}

type witness struct{ netip.Addr }

func (w *witness) Check(from netip.Addr, _, _ []byte) (*exchange.Principal, error) {
	w.Addr = from
	return nil, basic.ErrRefused
}

// Who keeps calling is known for longer than a minute, and who does not, is not.
func TestRememberedWhileUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		computed := 0
		f := file(t, basic.User{Name: "a", Hash: basic.SlowHash(func(p []byte) bool { computed++; return string(p) == "secret" })})
		check := func(want int) {
			t.Helper()
			if _, err := f.Check(here, []byte("a"), []byte("secret")); err != nil || computed != want {
				t.Errorf("%v; computed %d times, want %d", err, computed, want)
			}
		}
		check(1)
		for range 5 {
			time.Sleep(50 * time.Second)
			check(1)
		}
		time.Sleep(time.Minute)
		check(2)
	})
}

// Among users with slow hashes, one with a fast hash is not found out by how fast
// guesses at it are refused.
func TestFastHashAmongSlowOnes(t *testing.T) {
	computed := 0
	slow := basic.SlowHash(func([]byte) bool { computed++; return false })
	f := file(t, basic.User{Name: "fast", Hash: hash(t, hashes["SHA-256"])}, basic.User{Name: "slow", Hash: slow})
	for _, name := range []string{"fast", "slow", "nobody"} {
		computed = 0
		if _, err := f.Check(here, []byte(name), []byte("guess")); !errors.Is(err, basic.ErrRefused) || computed != 1 {
			t.Errorf("%s: %v, computed %d times", name, err, computed)
		}
	}
	computed = 0
	if p, err := f.Check(here, []byte("fast"), []byte("password")); err != nil || p.Username != "fast" || computed != 0 {
		t.Errorf("the good password: %v, %v, computed %d times", p, err, computed)
	}
}

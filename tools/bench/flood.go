package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// This file measures the latency of good requests beside others.

// A flood is how slow good requests are, as the time that 99 of 100 do not
// exceed, in microseconds: alone, beside forged tokens, and beside as many good
// requests; one of each for each round.
type flood struct{ alone, forged, good []float64 }

// The rates are those of connections that wait 10 ms on the average between two
// requests, and five.
const (
	goodConnections  = 10 // 2,000 a second
	floodConnections = 52 // 5,000 a second
)

// floodScript makes wrk send requests whose tokens are all different: good but
// for the signature.
const floodScript = `
local head = "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s"
local tail = "\r\n\r\n"
local before, after = "%s", "%s"
local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local n = math.random(1000000000)
function request()
  n = n + 7919
  local k, middle = n, {}
  for i = 1, 8 do
    local d = k %% 64
    middle[i] = digits:sub(d + 1, d + 1)
    k = (k - d) / 64
  end
  return head .. before .. table.concat(middle) .. after .. tail
end
function delay() return math.random(2, 18) end
`

// floods measures good requests of s beside others, in turn.
func (b *bench) floods(s *server, token string, rounds int) error {
	dot := strings.LastIndexByte(token, '.')
	signature := token[dot+1:]
	scripts := map[string]string{
		"good.lua":   fmt.Sprintf("wrk.headers[\"Authorization\"] = \"Bearer %s\"\nfunction delay() return math.random(2, 8) end\n", token),
		"more.lua":   fmt.Sprintf("wrk.headers[\"Authorization\"] = \"Bearer %s\"\nfunction delay() return math.random(2, 18) end\n", token),
		"forged.lua": fmt.Sprintf(floodScript, target, address(s.port), token[:dot+1], signature[:100], signature[108:]),
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(script), 0o644); err != nil {
			return err
		}
	}
	load := func(script string, connections, seconds int) *exec.Cmd {
		return exec.CommandContext(b.ctx, "taskset", "-c", loadCore, "wrk", "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", seconds),
			"--latency", "-s", filepath.Join(b.dir, script), "http://"+address(s.port)+target)
	}
	beside := func(script string) (float64, error) {
		var others *exec.Cmd
		var out bytes.Buffer
		if script != "" {
			others = load(script, floodConnections, b.seconds+2)
			others.Stdout = &out
			if err := others.Start(); err != nil {
				return 0, err
			}
			time.Sleep(time.Second) // until it is at full speed
		}
		good, err := load("good.lua", goodConnections, b.seconds).Output()
		if others != nil {
			if err := others.Wait(); err != nil {
				return 0, fmt.Errorf("wrk: %w", err)
			}
			n, refused, err := parseWrk(out.String())
			if err != nil {
				return 0, err
			}
			if script == "forged.lua" && refused != n || script != "forged.lua" && refused != 0 {
				return 0, fmt.Errorf("%s: %d of %d answers were errors", script, refused, n)
			}
			b.result.floodRate = append(b.result.floodRate, float64(n)/float64(b.seconds+2))
		}
		if err != nil {
			return 0, fmt.Errorf("wrk: %w", err)
		}
		if _, failed, err := parseWrk(string(good)); err != nil || failed > 0 {
			return 0, fmt.Errorf("good requests: %d failed; %v", failed, err)
		}
		return parseLatency(string(good))
	}
	f := &b.result.flood
	for range rounds {
		for _, x := range []struct {
			script string
			to     *[]float64
		}{{"", &f.alone}, {"forged.lua", &f.forged}, {"more.lua", &f.good}} {
			micros, err := beside(x.script)
			if err != nil {
				return err
			}
			*x.to = append(*x.to, micros)
		}
	}
	return nil
}

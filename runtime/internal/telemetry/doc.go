// Package telemetry records what the gateway did: one access log line per
// request, and counters per route.
//
// Both are written to once per request by every core, so both are sharded: a
// request touches memory that other cores leave alone (see shards). Neither
// ever makes a request wait for a disk. A line that cannot be written is
// dropped and counted.
package telemetry

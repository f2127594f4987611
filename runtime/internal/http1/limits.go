package http1

import "time"

// Limits bounds everything that is read from a peer. The zero value of a size
// or time means "no limit" only where its comment says so. Defaults and conf
// keys are in docs/conf.md.
type Limits struct {
	TargetBytes   int   // request target; 414 beyond
	LineBytes     int   // status line of an answer; 502 beyond
	HeadBytes     int   // request or status line and fields together; 431 beyond
	Fields        int   // number of fields; 431 beyond
	BodyBytes     int64 // content of a message; 413 beyond; 0 for no limit
	ChunkLine     int   // a chunk's size with its extensions
	TrailerBytes  int   // trailer section
	Interim       int   // 1xx answers of an upstream before its final one
	Pipelined     int   // requests read from one buffer before an answer is flushed
	DiscardBytes  int64 // of an unread request body, to keep the connection
	HeadTimeout   time.Duration
	BodyTimeout   time.Duration // between two pieces
	IdleTimeout   time.Duration // between two requests
	WriteTimeout  time.Duration // for one write to make progress
	AnswerTimeout time.Duration // until the upstream's answer begins, and between its pieces
}

// DefaultLimits are the limits without a conf.
func DefaultLimits() Limits {
	return Limits{
		TargetBytes: 4096, LineBytes: 4096, HeadBytes: 8192, Fields: 100,
		ChunkLine: 1024, TrailerBytes: 4096, Interim: 8, Pipelined: 10,
		DiscardBytes: 64 << 10,
		HeadTimeout:  10 * time.Second, BodyTimeout: 60 * time.Second,
		IdleTimeout: 120 * time.Second, WriteTimeout: 60 * time.Second,
		AnswerTimeout: 60 * time.Second,
	}
}

package message

import (
	"encoding/binary"
	"errors"
	"math"
)

// The body of a JMS map message over AMQP 0-9-1 (content type amqp/map, of WSO2's
// broker and Qpid): a size and a count of four bytes each, then for each member
// the length of its name in one byte, its name, a type and the value. The types
// are those that Qpid's clients write.

var errMap = errors.New("amqp/map: cut short")

// amqpMap reads such a map. Members of a type that is not known end the reading:
// nothing says how long they are. What came before counts.
func amqpMap(b []byte) (map[string]any, error) {
	if len(b) < 8 {
		return nil, errMap
	}
	size, count := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if uint64(size) != uint64(len(b)-4) {
		// Some clients count the size's own bytes.
		if uint64(size) != uint64(len(b)) {
			return nil, errors.New("amqp/map: its size is not that of the message")
		}
	}
	if count > maxItems {
		return nil, errors.New("amqp/map: too many members")
	}
	r := reader{b[8:]}
	members := map[string]any{}
	for range count {
		n, ok := r.uint(1)
		if !ok {
			return nil, errMap
		}
		name, ok := r.take(int(n))
		if !ok {
			return nil, errMap
		}
		typ, ok := r.uint(1)
		if !ok {
			return nil, errMap
		}
		value, known, ok := r.value(byte(typ))
		if !ok {
			return nil, errMap
		}
		if !known {
			break
		}
		members[string(name)] = value
	}
	return members, nil
}

type reader struct{ b []byte }

func (r *reader) take(n int) ([]byte, bool) {
	if n < 0 || n > len(r.b) {
		return nil, false
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b, true
}

func (r *reader) uint(n int) (uint64, bool) {
	b, ok := r.take(n)
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, ok
}

// value reads a value. known is false if the type is not; ok is false if the
// value is cut short.
func (r *reader) value(typ byte) (v any, known, ok bool) {
	fixed := func(n int, to func(uint64) any) (any, bool, bool) {
		u, ok := r.uint(n)
		return to(u), true, ok
	}
	counted := func(n int) (any, bool, bool) {
		length, ok := r.uint(n)
		if !ok || length > uint64(len(r.b)) {
			return nil, true, false
		}
		b, ok := r.take(int(length))
		return string(b), true, ok
	}
	switch typ {
	case 0x01, 't': // int8
		return fixed(1, func(u uint64) any { return int8(u) })
	case 0x02: // uint8
		return fixed(1, func(u uint64) any { return uint8(u) })
	case 0x04: // char
		return fixed(1, func(u uint64) any { return string(rune(u)) })
	case 0x08: // boolean
		return fixed(1, func(u uint64) any { return u != 0 })
	case 0x11: // int16
		return fixed(2, func(u uint64) any { return int16(u) })
	case 0x12:
		return fixed(2, func(u uint64) any { return uint16(u) })
	case 0x21: // int32
		return fixed(4, func(u uint64) any { return int32(u) })
	case 0x22:
		return fixed(4, func(u uint64) any { return uint32(u) })
	case 0x23: // float
		return fixed(4, func(u uint64) any { return math.Float32frombits(uint32(u)) })
	case 0x27: // a character of four bytes
		return fixed(4, func(u uint64) any { return string(rune(u)) })
	case 0x31: // int64
		return fixed(8, func(u uint64) any { return int64(u) })
	case 0x32:
		return fixed(8, func(u uint64) any { return u })
	case 0x33: // double
		return fixed(8, func(u uint64) any { return math.Float64frombits(u) })
	case 0x38: // a date in milliseconds
		return fixed(8, func(u uint64) any { return int64(u) })
	case 0x80, 0x84, 0x85: // bytes and texts with one byte of length
		return counted(1)
	case 0x90, 0x94, 0x95:
		return counted(2)
	case 0xa0, 0xa4:
		return counted(4)
	case 0xf0, 0xf1: // nothing, as two generations of clients have it
		return nil, true, true
	}
	return nil, false, true
}

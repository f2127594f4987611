package interceptor

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// A module is a magic number, a version and sections (WebAssembly Core
// Specification 2.0, section 5.5). Only the export section is read: what the
// code does, and whether it is valid, is for whoever runs it.
const (
	wasmHeader    = "\x00asm\x01\x00\x00\x00"
	exportSection = 7
	functionKind  = 0
)

var errTruncated = errors.New("not a WebAssembly module: it is truncated")

// exports are the names of the functions that a module exports.
func exports(code []byte) ([]string, error) {
	if len(code) < len(wasmHeader) || string(code[:4]) != wasmHeader[:4] {
		return nil, errors.New("not a WebAssembly module")
	}
	if string(code[:len(wasmHeader)]) != wasmHeader {
		// Components have another number in the same place.
		return nil, fmt.Errorf("not a WebAssembly module of version 1 (a component, perhaps)")
	}
	r := wasmReader(code[len(wasmHeader):])
	for len(r) > 0 {
		id := r[0]
		r = r[1:]
		size, ok := r.number()
		if !ok || uint64(size) > uint64(len(r)) {
			return nil, errTruncated
		}
		section := r[:size]
		r = r[size:]
		if id == exportSection {
			return section.exports()
		}
	}
	return nil, nil
}

type wasmReader []byte

func (r *wasmReader) exports() ([]string, error) {
	n, ok := r.number()
	if !ok {
		return nil, errTruncated
	}
	var names []string
	for range n {
		size, ok := r.number()
		// The name, a byte for the kind, and an index.
		if !ok || uint64(size)+2 > uint64(len(*r)) {
			return nil, errTruncated
		}
		name := (*r)[:size]
		kind := (*r)[size]
		*r = (*r)[size+1:]
		if _, ok := r.number(); !ok {
			return nil, errTruncated
		}
		if !utf8.Valid(name) {
			return nil, errors.New("not a WebAssembly module: the name of an export is not UTF-8")
		}
		if kind == functionKind {
			names = append(names, string(name))
		}
	}
	return names, nil
}

// number reads an unsigned LEB128 of at most 32 bits.
func (r *wasmReader) number() (uint32, bool) {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		if len(*r) == 0 {
			return 0, false
		}
		b := (*r)[0]
		*r = (*r)[1:]
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return uint32(v), v <= 1<<32-1
		}
	}
	return 0, false
}

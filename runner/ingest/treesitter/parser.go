package treesitter

// #include "flatten.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"
)

var (
	// ErrTimeout means that a parse reached its time limit.
	ErrTimeout = errors.New("parse timeout")
	// ErrTooLarge means that a text or its tree is over the limits.
	ErrTooLarge = errors.New("too large to parse")
)

// Limits bound one parse. A zero field means its default.
//
// Code takes a grammar a few milliseconds for each KiB at the very most. What takes
// longer is text that the grammar makes nothing of: the runtime's search for a way
// to go on is quadratic there. Busy gives such a text up early, and whatever else
// the machine has to do.
type Limits struct {
	Timeout time.Duration // 5 s, by the clock
	Busy    time.Duration // of the processor for each KiB of text, on top of a quarter of a second: 10 ms
	Bytes   int           // of the text: 8 MiB; parsing takes up to about 100 times as much memory
	Nodes   int           // of the tree: 5 million, 24 bytes each
}

const (
	leastBusy = 250 * time.Millisecond
	maxBytes  = 1 << 30   // offsets are 32 bits wide in the runtime
	maxNodes  = 100 << 20 // keeps the array's capacity within 32 bits
	keepNodes = 1 << 18   // nodes that an idle parser keeps room for (6 MiB)
)

func (l Limits) withDefaults() Limits {
	if l.Timeout <= 0 {
		l.Timeout = 5 * time.Second
	}
	if l.Busy <= 0 {
		l.Busy = 10 * time.Millisecond
	}
	if l.Bytes <= 0 {
		l.Bytes = 8 << 20
	}
	if l.Nodes <= 0 {
		l.Nodes = 5_000_000
	}
	l.Bytes, l.Nodes = min(l.Bytes, maxBytes), min(l.Nodes, maxNodes)
	return l
}

// Parser parses texts of any language, one at a time. It must be closed, and must
// not be used by two goroutines at once.
type Parser struct {
	limits   Limits
	language *Language
	c        *C.flat_parser
}

// NewParser allocates a parser.
func NewParser(limits Limits) (*Parser, error) {
	useLibcAllocator()
	c := C.flat_new()
	if c == nil {
		return nil, errors.New("allocate parser: out of memory")
	}
	return &Parser{limits: limits.withDefaults(), c: c}, nil
}

// Close frees the parser and the nodes of its last Tree. Closing twice is allowed.
func (p *Parser) Close() {
	if p.c != nil {
		C.flat_delete(p.c)
		p.c = nil
	}
}

// Parse parses source. The Tree is good until the next Parse or Close. Parsing
// stops when ctx is done, with its cause, or at a time limit, with ErrTimeout.
func (p *Parser) Parse(ctx context.Context, l *Language, source []byte) (*Tree, error) {
	if len(source) > p.limits.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLarge, len(source), p.limits.Bytes)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if p.language != l {
		if !C.ts_parser_set_language(p.c.parser, l.ts) {
			return nil, fmt.Errorf("set language %s: refused by the tree-sitter runtime", l.name)
		}
		p.language = l
	}

	uncancel := p.cancelWith(ctx)
	busy := leastBusy + p.limits.Busy*time.Duration(len(source)>>10)
	outcome := C.flat_parse(p.c, (*C.char)(unsafe.Pointer(unsafe.SliceData(source))), C.uint32_t(len(source)), C.flat_limits{
		timeout_micros: C.uint64_t(max(p.limits.Timeout.Microseconds(), 1)),
		busy_micros:    C.uint64_t(busy.Microseconds()),
		nodes:          C.uint32_t(p.limits.Nodes),
	})
	uncancel()

	switch outcome {
	case C.FLAT_STOPPED:
		p.language = nil // flat_parse made a new parser, which knows none
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %d bytes of %s took more than %s, or %s of the processor", ErrTimeout, len(source), l.name, p.limits.Timeout, busy)
	case C.FLAT_TOO_MANY_NODES:
		return nil, fmt.Errorf("%w: more than %d nodes in %d bytes of %s", ErrTooLarge, p.limits.Nodes, len(source), l.name)
	case C.FLAT_NO_MEMORY:
		return nil, fmt.Errorf("%w: no memory for the nodes of %d bytes of %s", ErrTooLarge, len(source), l.name)
	}
	return &Tree{
		Language:   l,
		Source:     source,
		Nodes:      unsafe.Slice((*Node)(unsafe.Pointer(p.c.nodes)), int(p.c.count)),
		Errors:     int(p.c.errors),
		Missing:    int(p.c.missing),
		ErrorBytes: int(p.c.error_bytes),
	}, nil
}

// swollen says that a parser holds so much memory after an unusually large text
// that a new one is better.
func (p *Parser) swollen() bool { return p.c.capacity > keepNodes }

// cancelWith lets ctx stop the parse that follows. The flag lives as long as the
// parser, and the returned function waits for a late writer, so that a
// cancellation can hit neither freed memory nor the next parse.
func (p *Parser) cancelWith(ctx context.Context) (uncancel func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	flag := (*uintptr)(unsafe.Pointer(&p.c.cancelled))
	written := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		atomic.StoreUintptr(flag, 1)
		close(written)
	})
	return func() {
		if !stop() {
			<-written
			atomic.StoreUintptr(flag, 0)
		}
	}
}

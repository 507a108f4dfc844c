package treesitter

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is returned by a Pool after Close.
var ErrClosed = errors.New("parser pool is closed")

// Pool holds a bounded number of parsers. A parse holds an operating system
// thread for its whole length, so the bound is also one on threads.
type Pool struct {
	limits Limits
	free   chan *Parser // nil for a parser that was not needed yet
	closed chan struct{}
	once   sync.Once
}

// NewPool makes a pool of at most size parsers, at least one. They are allocated
// when first needed.
func NewPool(size int, limits Limits) *Pool {
	p := &Pool{limits: limits, free: make(chan *Parser, max(size, 1)), closed: make(chan struct{})}
	for range cap(p.free) {
		p.free <- nil
	}
	return p
}

// Parse waits for a free parser, parses source, and calls use with the tree, which
// is good only until use returns. What use returns is returned.
func (p *Pool) Parse(ctx context.Context, l *Language, source []byte, use func(*Tree) error) error {
	parser, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if parser != nil && parser.swollen() {
			parser.Close()
			parser = nil
		}
		p.free <- parser
	}()
	if parser == nil {
		if parser, err = NewParser(p.limits); err != nil {
			return err
		}
	}
	tree, err := parser.Parse(ctx, l, source)
	if err != nil {
		return err
	}
	return use(tree)
}

func (p *Pool) take(ctx context.Context) (*Parser, error) {
	select {
	case <-p.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case parser := <-p.free:
		return parser, nil
	case <-p.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close waits for parses in progress and frees all parsers. Later parses fail with
// ErrClosed. Closing twice is allowed.
func (p *Pool) Close() {
	p.once.Do(func() {
		close(p.closed)
		for range cap(p.free) {
			if parser := <-p.free; parser != nil {
				parser.Close()
			}
		}
	})
}

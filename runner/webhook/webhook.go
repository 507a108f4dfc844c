// Package webhook sends events to the addresses that subscribed to them.
//
// An event is a row of htdag.deliveries, written in the transaction in which it
// happened. A [Sender] claims rows that are due, POSTs them and says what came of it;
// any number of senders may work on one database. Of one run, a subscription gets
// one event after the other. An event may come twice, where a sender dies between
// sending it and saying so, with the same number both times.
//
// A request has these headers besides the usual ones:
//
//	Htdag-Event: 17             number of the event
//	Htdag-Delivery: 4           number of the event for this subscription
//	Htdag-Timestamp: 1790000000 seconds since 1970 at which it was signed
//	Htdag-Signature: sha256=... HMAC-SHA256 of timestamp, full stop and body, in hexadecimal
//
// A receiver compares the signature, refuses timestamps that are old, and answers with
// any status from 200 to 299. Every other answer, redirects included, is a failure.
package webhook

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// Options say how events are sent. The zero value is complete.
type Options struct {
	AllowPrivate bool           // send to private, loopback and link-local addresses too, and without TLS
	Timeout      time.Duration  // for one request; 10 s when 0
	Concurrency  int            // requests at once; 16 when 0
	Poll         time.Duration  // time between looks for events when there are none; 1 s when 0
	RootCAs      *x509.CertPool // who may vouch for receivers; the system's when nil
	Log          *slog.Logger   // nothing is logged when nil
}

// Sender sends events.
type Sender struct {
	queries *dbsqlc.Queries
	client  *http.Client
	opts    Options
}

// New returns a sender for the database of a pool.
func New(pool *pgxpool.Pool, opts Options) *Sender {
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 16
	}
	if opts.Poll <= 0 {
		opts.Poll = time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Sender{queries: dbsqlc.New(pool), client: newClient(opts), opts: opts}
}

// Run sends what is due until ctx ends, then waits for the requests under way. While the
// database is of no use it tries again with backoff.
func (s *Sender) Run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	var sending sync.WaitGroup
	defer sending.Wait()
	// A slot is taken for each request, and for the one look for more.
	slots := make(chan struct{}, s.opts.Concurrency)
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		free := cap(slots) - len(slots) + 1
		<-slots
		due, err := s.claim(ctx, free)
		if err != nil && ctx.Err() == nil {
			wait = db.Backoff(wait)
			s.opts.Log.WarnContext(ctx, "cannot look for events to send", "error", err, "retry_in", wait)
		} else {
			wait = 0
		}
		for _, d := range due {
			slots <- struct{}{}
			sending.Go(func() {
				defer func() { <-slots }()
				s.deliver(ctx, d)
			})
		}
		if len(due) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(wait, s.opts.Poll)):
			}
		}
	}
}

// SendDue sends what is due now, and what that lets pass, and returns how many requests
// it made. It does not wait for the time of a retry.
func (s *Sender) SendDue(ctx context.Context) (requests int, err error) {
	for {
		due, err := s.claim(ctx, s.opts.Concurrency)
		if err != nil || len(due) == 0 {
			return requests, err
		}
		var sending sync.WaitGroup
		for _, d := range due {
			sending.Go(func() { s.deliver(ctx, d) })
		}
		sending.Wait()
		requests += len(due)
	}
}

func (s *Sender) claim(ctx context.Context, want int) ([]dbsqlc.HtdagDeliveryClaim, error) {
	due, err := s.queries.ClaimDeliveries(ctx, int32(want), s.opts.Timeout+30*time.Second)
	return due, db.Error(err)
}

// deliver makes one request and stores what came of it. A request that was begun may end
// after ctx has.
func (s *Sender) deliver(ctx context.Context, d dbsqlc.HtdagDeliveryClaim) {
	ctx = context.WithoutCancel(ctx)
	result := dbsqlc.FinishDeliveryParams{DeliveryID: d.DeliveryID, Token: *d.Token}
	log := s.opts.Log.With("delivery", d.DeliveryID, "event", d.EventID)
	status, err := s.post(ctx, d)
	if status != 0 {
		result.Status = &status
	}
	if err != nil {
		text := err.Error()
		result.Error = &text
		log.InfoContext(ctx, "event was not delivered", "error", err)
	}
	finishing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := s.queries.FinishDelivery(finishing, result); err != nil {
		log.WarnContext(ctx, "cannot store what came of an event; it will be sent again", "error", db.Error(err))
	}
}

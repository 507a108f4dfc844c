package pgmq_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/htdag/htdag/db/dbtest"
)

func ids(ctx context.Context, pool *pgxpool.Pool, query string, args ...any) ([]int64, error) {
	rows, err := pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// Eight readers over 100,000 messages: each message is read once while it is hidden.
func TestReadersShareTheWork(t *testing.T) {
	t.Parallel()
	const messages, readers = 100_000, 8
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('work')")
	dbtest.Exec(t, pool, "select count(*) from pgmq.send_batch('work', (select array_agg(to_jsonb(i)) from generate_series(1, $1::int) i))", messages)

	var (
		mu    sync.Mutex
		times = map[int64]int{}
	)
	g, ctx := errgroup.WithContext(t.Context())
	for i := range readers {
		g.Go(func() error {
			for {
				got, err := ids(ctx, pool, "select msg_id from pgmq.read('work', 3600, $1::int)", 1+i*13)
				if err != nil || len(got) == 0 {
					return err
				}
				if !slices.IsSorted(got) {
					return fmt.Errorf("read out of order: %v", got)
				}
				mu.Lock()
				for _, id := range got {
					times[id]++
				}
				mu.Unlock()
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(times) != messages {
		t.Errorf("%d different messages were read, want %d", len(times), messages)
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("message %d was read %d times", id, n)
		}
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from pgmq.q_work where read_ct <> 1"); n != 0 {
		t.Errorf("%d messages have a read_ct other than 1", n)
	}
}

// Senders that commit or roll back, and consumers that finish in every way: what
// was committed is consumed once, what was rolled back never.
func TestSendersAndConsumers(t *testing.T) {
	t.Parallel()
	const senders, batches = 3, 100
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('pipe')")

	var (
		mu       sync.Mutex
		sent     []int64
		consumed []int64
		sending  sync.WaitGroup
		sentAll  = make(chan struct{})
	)
	errRollback := errors.New("roll back")
	g, ctx := errgroup.WithContext(t.Context())
	sending.Add(senders)
	for i := range senders {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		g.Go(func() error {
			defer sending.Done()
			for range batches {
				var batch []int64
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					rows, err := tx.Query(ctx, "select * from pgmq.send_batch('pipe', array_fill('1'::jsonb, array[$1::int]))", 1+random.IntN(5))
					if err != nil {
						return err
					}
					if batch, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err == nil && random.IntN(3) == 0 {
						err = errRollback
					}
					return err
				})
				if errors.Is(err, errRollback) {
					continue
				} else if err != nil {
					return err
				}
				mu.Lock()
				sent = append(sent, batch...)
				mu.Unlock()
			}
			return nil
		})
	}
	g.Go(func() error { sending.Wait(); close(sentAll); return nil })

	finish := []string{
		"select msg_id from pgmq.pop('pipe', 3)",
		"select pgmq.delete('pipe', array(select msg_id from pgmq.read('pipe', 3600, 3)))",
		"select pgmq.archive('pipe', array(select msg_id from pgmq.read('pipe', 3600, 3)))",
		"select pgmq.delete('pipe', array(select msg_id from pgmq.read_with_poll('pipe', 3600, 3, 1, 5)))",
	}
	for _, query := range finish {
		g.Go(func() error {
			for {
				last := false
				select {
				case <-sentAll:
					last = true
				default:
				}
				got, err := ids(ctx, pool, query)
				if err != nil || last && len(got) == 0 {
					return err
				}
				mu.Lock()
				consumed = append(consumed, got...)
				mu.Unlock()
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(sent)
	slices.Sort(consumed)
	if diff := cmp.Diff(sent, consumed); diff != "" {
		t.Errorf("consumed is not what was sent (-sent +consumed):\n%s", diff)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from pgmq.q_pipe"); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// Several workers read groups by turns: within a group messages are worked on one
// after the other, in the order in which they were sent.
func TestGroupsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	const groups, perGroup, workers = 12, 30, 6
	for _, function := range []string{"read_grouped", "read_grouped_rr"} {
		for _, indexed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/indexed=%t", function, indexed), func(t *testing.T) {
				t.Parallel()
				pool := newPool(t)
				dbtest.Exec(t, pool, "select pgmq.create('g')")
				if indexed {
					dbtest.Exec(t, pool, "select pgmq.create_fifo_index('g')")
				}
				dbtest.Exec(t, pool, `select pgmq.send('g', to_jsonb(n), jsonb_build_object('x-pgmq-group', 'group ' || k))
					from generate_series(1, $1::int) n, generate_series(1, $2::int) k order by n, md5(n || ' ' || k)`, perGroup, groups)

				var (
					mu     sync.Mutex
					worked = map[string][]int{}
					left   = groups * perGroup
				)
				g, ctx := errgroup.WithContext(t.Context())
				for i := range workers {
					g.Go(func() error {
						for {
							var held []int64
							rows, err := pool.Query(ctx, "select msg_id, message::int, headers ->> 'x-pgmq-group' from pgmq."+function+"('g', 3600, $1::int)", 1+i)
							if err != nil {
								return err
							}
							// What is read is worked on before it is deleted; until then
							// nobody else may read from its group.
							_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
								var (
									id   int64
									n    int
									name string
								)
								if err := row.Scan(&id, &n, &name); err != nil {
									return struct{}{}, err
								}
								held = append(held, id)
								mu.Lock()
								worked[name] = append(worked[name], n)
								mu.Unlock()
								return struct{}{}, nil
							})
							if err != nil {
								return err
							}
							deleted, err := ids(ctx, pool, "select pgmq.delete('g', $1::bigint[])", held)
							if err != nil {
								return err
							}
							mu.Lock()
							left -= len(deleted)
							done := left == 0
							mu.Unlock()
							if done {
								return nil
							}
						}
					})
				}
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
				for name, order := range worked {
					if len(order) != perGroup || !slices.IsSorted(order) {
						t.Errorf("%s was worked on in the order %v", name, order)
					}
				}
				if len(worked) != groups {
					t.Errorf("%d groups were worked on, want %d", len(worked), groups)
				}
			})
		}
	}
}

// A poll that has begun sees what is sent afterwards.
func TestPollSeesLateMessage(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('late')")
	for _, function := range []string{"read_with_poll", "read_grouped_with_poll", "read_grouped_rr_with_poll"} {
		got := make(chan []int64, 1)
		g, ctx := errgroup.WithContext(t.Context())
		g.Go(func() error {
			found, err := ids(ctx, pool, "select msg_id /* poller */ from pgmq."+function+"('late', 0, 1, 60, 10)")
			got <- found
			return err
		})
		dbtest.WaitFor(t, pool, `select exists (select from pg_stat_activity
			where query ~ 'poller' and pid <> pg_backend_pid() and wait_event = 'PgSleep')`)
		begun := time.Now()
		sent := dbtest.Value[int64](t, pool, "select pgmq.send('late', '1')")
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{sent}, <-got); diff != "" {
			t.Errorf("%s found something else (-sent +found):\n%s", function, diff)
		}
		if d := time.Since(begun); d > 30*time.Second {
			t.Errorf("%s took %v after the message was sent", function, d)
		}
		dbtest.Exec(t, pool, "select pgmq.purge_queue('late')")
	}
}

// Queues created by many at once are created once.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	g, ctx := errgroup.WithContext(t.Context())
	for range 8 {
		g.Go(func() error {
			_, err := pool.Exec(ctx, "select pgmq.create('same')")
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"same"}, dbtest.Column[string](t, pool, "select queue_name::text from pgmq.list_queues()")); diff != "" {
		t.Error(diff)
	}
}

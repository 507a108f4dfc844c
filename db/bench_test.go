package db_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

var (
	benchServer  = flag.String("bench.server", "", "URL of a server to run benchmarks on; a temporary one without durability when empty")
	benchWorkers = flag.Int("bench.workers", 4, "runners of a benchmark, each on a connection of its own")
	benchParts   = flag.Int("bench.partitions", 0, "partitions of the tables of runs; as many as there are by themselves when 0")
	benchBatch   = flag.Int("bench.batch", 50, "most steps that a runner claims and completes in one call")
)

// BenchmarkFlows runs whole flows with handlers that do nothing: one iteration is one
// step, runs are started 20 in a call. Besides the rate it reports, per step, what does not
// depend on how busy the machine is: calls, bytes of WAL and dead row versions.
func BenchmarkFlows(b *testing.B) {
	shapes := []struct {
		name  string
		steps int
		spec  string
		input string
	}{
		{"chain5", 5, chainSpec(5), `{}`},
		{"diamond1-8-1", 10, diamondSpec(8), `{}`},
		{"map1000", 1002, `[{"name": "a"}, {"name": "b", "map": "input", "needs": ["a"]}, {"name": "c", "needs": ["b"]}]`, numbers(1000)},
		{"bundle5", 5, strings.ReplaceAll(chainSpec(5), `"name"`, `"bundle": "x", "name"`), `{}`},
	}
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			pool := benchDatabase(b)
			spec := fmt.Sprintf(`{"flow": "bench", "steps": %s}`, strings.ReplaceAll(s.spec, `"name"`, `"kind": "noop", "name"`))
			dbtest.Exec(b, pool, "select htdag.define_flow($1)", spec)
			if *benchParts > 0 {
				dbtest.Exec(b, pool, "select htdag.make_partitions(p_count => $1)", *benchParts)
			}
			benchFlow(b, pool, s.steps, json.RawMessage(s.input))
		})
	}
}

func benchFlow(b *testing.B, pool *pgxpool.Pool, steps int, input json.RawMessage) {
	var calls atomic.Int64
	before := readCosts(b, pool)
	b.ResetTimer()
	var wg sync.WaitGroup
	var begun, total atomic.Int64
	for w := range *benchWorkers {
		wg.Go(func() {
			conn, err := pgx.ConnectConfig(b.Context(), pool.Config().ConnConfig)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close(context.Background())
			for begun.Add(20) < int64(b.N/steps)+20 {
				calls.Add(1)
				if _, err := conn.Exec(b.Context(), "select from htdag.start_flows('bench', array_fill($1::jsonb, array[20]))", input); err != nil {
					b.Error(err)
				}
				total.Add(20)
			}
			r := &testRunner{queries: dbsqlc.New(conn)}
			if err := r.register(b.Context(), fmt.Sprint("bench", w), "noop"); err != nil {
				b.Error(err)
				return
			}
			for idle := 0; idle < 20; {
				calls.Add(1)
				claims, err := r.exchange(b.Context(), *benchBatch)
				if err != nil {
					b.Error(err)
					return
				}
				if len(claims) > 0 {
					idle = 0
				} else {
					idle++ // others hold the rest, or will make more of it
					time.Sleep(time.Millisecond)
				}
				for _, c := range claims {
					r.succeed(c)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	cost := readCosts(b, pool).minus(before)
	n := float64(total.Load()) * float64(steps)
	b.ReportMetric(n/b.Elapsed().Seconds(), "steps/s")
	b.ReportMetric(float64(calls.Load())/n, "calls/step")
	b.ReportMetric(cost.wal/n, "WAL-B/step")
	b.ReportMetric(cost.dead/n, "dead/step")
	b.ReportMetric(0, "ns/op")
	if left := dbtest.Value[int](b, pool, "select count(*) from htdag.runs where state <> 'succeeded'"); left > 0 {
		b.Errorf("%d runs did not succeed", left)
	}
	dbtest.CheckInvariants(b, pool)
}

// costs are the server's counters of what was written.
type costs struct{ wal, dead float64 }

func (c costs) minus(d costs) costs { return costs{c.wal - d.wal, c.dead - d.dead} }

func readCosts(b *testing.B, pool *pgxpool.Pool) costs {
	b.Helper()
	// A session reports its counters when it ends, at the latest.
	pool.Reset()
	dbtest.WaitFor(b, pool, "select count(*) = 1 from pg_stat_activity where datname = current_database()")
	return costs{
		wal:  dbtest.Value[float64](b, pool, "select pg_current_wal_lsn() - '0/0'"),
		dead: dbtest.Value[float64](b, pool, `select sum(n_tup_upd + n_tup_del) from pg_stat_user_tables where schemaname = 'htdag'`),
	}
}

func benchDatabase(b *testing.B) *pgxpool.Pool {
	b.Helper()
	if *benchServer == "" {
		return dbtest.New(b)
	}
	ctx := b.Context()
	admin, err := pgx.Connect(ctx, *benchServer)
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close(ctx)
	for _, statement := range []string{"drop database if exists htdag_bench with (force)", "create database htdag_bench"} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			b.Fatal(err)
		}
	}
	config := admin.Config().Copy()
	pool, err := db.Open(ctx, fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=htdag_bench", config.Host, config.Port, config.User, config.Password), db.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	if err := db.Up(ctx, pool); err != nil {
		b.Fatal(err)
	}
	return pool
}

func chainSpec(n int) string {
	steps := []string{`{"name": "s0"}`}
	for i := 1; i < n; i++ {
		steps = append(steps, fmt.Sprintf(`{"name": "s%d", "needs": ["s%d"]}`, i, i-1))
	}
	return "[" + strings.Join(steps, ",") + "]"
}

func diamondSpec(n int) string {
	steps, middle := []string{`{"name": "a"}`}, []string{}
	for i := range n {
		steps = append(steps, fmt.Sprintf(`{"name": "m%d", "needs": ["a"]}`, i))
		middle = append(middle, fmt.Sprintf(`"m%d"`, i))
	}
	return "[" + strings.Join(steps, ",") + fmt.Sprintf(`, {"name": "z", "needs": [%s]}]`, strings.Join(middle, ","))
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",%d", i)
	}
	return "[" + b.String()[1:] + "]"
}

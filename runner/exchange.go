package runner

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// firstNap is how long a runner that has come to rest sleeps before it looks again;
// each further sleep is four times as long, up to the poll interval. A transaction
// that made work ready looked for idle runners before it committed: one that looked
// before this runner rested, and commits after this runner looked, wakes nobody.
const firstNap = 20 * time.Millisecond

// exchanges is the heart of a runner: one loop that hands in results and takes
// new work, both in one call. While a call is under way further results gather, so
// batches grow by themselves as the load does.
//
// With nothing to hand in and nothing to be had, the runner marks itself idle, looks
// once more (what became ready before the mark was set sent no wake-up) and then
// sleeps until a wake-up, a result, the time at which something is due, or its nap
// is over. It fails when the database has refused for too long.
func (s *session) exchanges(ctx context.Context, refusal *refusal) error {
	var (
		hungry = true // work may be there that has not been asked for
		rested = false
		nap    = firstNap
		due    time.Duration
		wait   time.Duration
	)
	for {
		results, want, finished := s.take()
		if finished || ctx.Err() != nil {
			return nil
		}
		if len(results) == 0 && (want == 0 || !hungry) {
			if s.await(ctx, want > 0, nap, due) {
				nap = min(4*nap, s.opts.Poll)
			} else {
				rested = false
			}
			hungry = true
			continue
		}
		claims, err := s.exchange(ctx, results, want)
		if errors.Is(err, db.ErrNotFound) {
			// The engine has given this runner up; the heartbeat ends the session.
			s.beat()
			<-ctx.Done()
			return nil
		}
		if err != nil {
			if ctx.Err() == nil && refusal.lasts() {
				return refusal.over(err)
			}
			s.giveBack(results)
			wait = db.Backoff(wait)
			s.log.WarnContext(ctx, "exchange failed; trying again", "error", err, "results", len(results), "retry_in", wait)
			pause(ctx, wait)
			continue
		}
		wait, refusal.since = 0, time.Time{}

		switch claimed := s.begin(ctx, claims); {
		case claimed > 0:
			rested, hungry = false, claimed == want
		case want == 0:
		case !rested || len(results) > 0:
			rested, nap, due = true, min(firstNap, s.opts.Poll), s.rest(ctx)
		default:
			hungry = false
		}
	}
}

// take removes the results that wait to be handed in, and says how many more tasks
// there is room for. The session is finished when it drains and has nothing left.
func (s *session) take() (results []result, want int, finished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	results, s.results = s.results, nil
	if s.draining {
		return results, 0, len(results) == 0 && len(s.running) == 0
	}
	return results, s.opts.Concurrency - len(s.running), false
}

func (s *session) giveBack(results []result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = append(results, s.results...)
}

// await sleeps until something changes or, where there is room for work, until
// there may be some. It reports whether it was the nap that passed.
func (s *session) await(ctx context.Context, room bool, nap, due time.Duration) (polled bool) {
	var wake <-chan struct{}
	var timer <-chan time.Time
	if room {
		// A jitter of a fifth keeps idle runners from polling in step.
		poll := nap - time.Duration(rand.Int64N(int64(nap)/5+1))
		polled = due <= 0 || poll < due
		if !polled {
			poll = due
		}
		wake, timer = s.wake, time.After(poll)
	}
	select {
	case <-timer:
		return polled
	case <-ctx.Done():
	case <-s.changed:
	case <-wake:
	}
	return false
}

// rest marks the runner idle and returns how long until something may be due; 0
// when nothing waits for a time.
func (s *session) rest(ctx context.Context) time.Duration {
	seconds, err := s.queries.Rest(ctx, s.id)
	if err != nil || seconds < 0 {
		return 0
	}
	return max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
}

// exchange makes the call: results in, claims out.
func (s *session) exchange(ctx context.Context, results []result, want int) ([]dbsqlc.HtdagClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Lease)
	defer cancel()
	if len(results) == 0 {
		claims, err := s.queries.ClaimSteps(ctx, s.id, int32(want))
		if err == nil && want > 0 && len(claims) == 0 {
			s.idled.Store(true)
		}
		return claims, db.Error(err)
	}
	claims, err := s.queries.CompleteSteps(ctx, s.report(results, want))
	return claims, db.Error(err)
}

// report arranges results as complete_steps takes them.
func (s *session) report(results []result, want int) dbsqlc.CompleteStepsParams {
	p := dbsqlc.CompleteStepsParams{Runner: s.id, Want: int32(want)}
	for _, r := range results {
		p.TaskIds = append(p.TaskIds, r.taskID)
		p.Tokens = append(p.Tokens, r.token)
		p.StepNos = append(p.StepNos, r.stepNo)
		p.Outcomes = append(p.Outcomes, r.outcome)
		p.Outputs = append(p.Outputs, json.RawMessage(r.output))
		p.Errors = append(p.Errors, r.err)
		p.Ran = append(p.Ran, r.ran)
		p.Codes = append(p.Codes, r.code)
		p.Delays = append(p.Delays, r.delay)
	}
	return p
}

// begin acts on the answers of an exchange: starts handlers for what was claimed,
// reports what came too late, passes wake-ups on. It returns how many tasks began.
func (s *session) begin(ctx context.Context, answers []dbsqlc.HtdagClaim) int {
	claimed := 0
	var queues []string
	for _, a := range answers {
		switch a.Verdict {
		case "claimed":
			claimed++
			s.start(ctx, a)
		case "stale":
			s.log.WarnContext(ctx, "late result dropped", "task", a.TaskID)
		case "wake":
			queues = append(queues, a.Queue)
		case "pump":
			s.askPump()
		}
	}
	if len(queues) > 0 {
		// A transaction of its own, after the commit that made the work ready: a
		// notification inside it would hold up every other commit meanwhile.
		go func() {
			if _, err := s.queries.Wake(ctx, queues); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "wake-up not sent; runners will find the work when they poll", "queues", queues, "error", err)
			}
		}()
	}
	return claimed
}

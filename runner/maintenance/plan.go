package maintenance

import (
	"fmt"
	"time"

	"github.com/htdag/htdag/db/dbsqlc"
)

const (
	// grace is how late a schedule may be fired without the time counting as missed.
	grace = time.Minute
	// mostCaughtUp bounds the runs that one schedule starts at once.
	mostCaughtUp = 100
)

// A plan is what is to be done about a schedule that is due or new.
type plan struct {
	due     []time.Time
	next    *time.Time // nil: never again
	skipped *time.Time // the first time that is passed over
	err     error      // why it cannot be worked out
}

// planOf works out what a schedule is due for. A time is missed when it is more than
// a minute past: skip starts nothing for those, latest starts one run for the newest
// time there is, all starts one for each of the newest hundred.
func planOf(s dbsqlc.HtdagScheduleState) plan {
	c, err := ParseCron(s.Cron, s.TimeZone)
	if err != nil {
		return plan{err: err}
	}
	first := c.Next(s.Since)
	if s.NextDueAt != nil {
		first = *s.NextDueAt
	}
	var p plan
	if !first.IsZero() && !first.After(s.Now) {
		switch onTime := s.Now.Add(-grace); {
		case !first.Before(onTime) || s.CatchUp == "all":
			p.due = c.newest(first, s.Now, mostCaughtUp)
		case s.CatchUp == "latest":
			p.due = c.newest(first, s.Now, 1)
		default:
			p.due = c.newest(onTime, s.Now, mostCaughtUp)
		}
		if len(p.due) == 0 || p.due[0].After(first) {
			missed := first
			p.skipped = &missed
		}
		first = c.Next(s.Now)
	}
	if first.IsZero() {
		p.err = fmt.Errorf("cron %q names no time in the next five years", s.Cron)
	} else {
		p.next = &first
	}
	return p
}

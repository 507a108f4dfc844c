package maintenance

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // hosts without time zones of their own

	"github.com/robfig/cron/v3"
)

// A Cron tells when something is due: at the times of a clock on the wall in some
// place, which a cron expression names.
//
// Where the clocks go forward, a time of the hour that is left out is due once, at
// the moment the clocks change. Where they go back, a time of the hour that comes
// twice is due the first time only. An expression whose hour is * means every hour
// that passes, and so is due in both, and in none that is left out.
type Cron struct {
	spec     *cron.SpecSchedule // in UTC
	location *time.Location
}

var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// everyHour marks the hours of an expression that are just "*".
const everyHour = 1 << 63

// ParseCron reads an expression of five fields, six with seconds first, or @daily
// and the like.
func ParseCron(expression, timeZone string) (Cron, error) {
	location, err := time.LoadLocation(timeZone)
	if err != nil {
		return Cron{}, fmt.Errorf("time zone %q: %w", timeZone, err)
	}
	if strings.HasPrefix(expression, "TZ=") || strings.HasPrefix(expression, "CRON_TZ=") {
		return Cron{}, fmt.Errorf("cron %q: the time zone does not belong in it", expression)
	}
	schedule, err := parser.Parse(expression)
	if err != nil {
		return Cron{}, fmt.Errorf("cron %q: %w", expression, err)
	}
	spec, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return Cron{}, fmt.Errorf("cron %q: it names no times", expression)
	}
	spec.Location = time.UTC
	return Cron{spec, location}, nil
}

// Next returns the first time after t, or the zero time when there is none within
// five years.
func (c Cron) Next(t time.Time) time.Time {
	if c.spec.Hour&everyHour != 0 {
		elapsing := *c.spec
		elapsing.Location = c.location
		return elapsing.Next(t)
	}
	for wall := onWall(t.In(c.location)); ; {
		wall = c.spec.Next(wall)
		if wall.IsZero() {
			return wall
		}
		if due := c.instant(wall); due.After(t) {
			return due
		}
	}
}

// onWall returns a time in UTC that reads as t does in its place.
func onWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant returns when the clocks first show, or pass over, what wall reads.
func (c Cron) instant(wall time.Time) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, c.location)
	start, end := t.ZoneBounds()
	switch shown := onWall(t); {
	case shown.After(wall): // left out, and reckoned by the offset before
		return start
	case shown.Before(wall): // left out, and reckoned by the offset after
		return end
	case start.IsZero():
		return t
	}
	_, offset := start.Add(-time.Nanosecond).Zone()
	earlier := wall.Add(-time.Duration(offset) * time.Second).In(c.location)
	if earlier.Before(start) && onWall(earlier).Equal(wall) {
		return earlier
	}
	return t
}

// newest returns up to n times from first to last, both included: the newest.
func (c Cron) newest(first, last time.Time, n int) []time.Time {
	// Looked for in the last minute, then further back, so that a long time is not
	// walked through second by second.
	for back := time.Minute; ; back *= 24 {
		from := last.Add(-back)
		if from.Before(first) || back > 10*365*24*time.Hour {
			from = first
		}
		var due []time.Time
		for t := c.Next(from.Add(-time.Nanosecond)); !t.IsZero() && !t.After(last); t = c.Next(t) {
			due = append(due, t)
		}
		if len(due) >= n {
			return slices.Clone(due[len(due)-n:])
		} else if from.Equal(first) {
			return due
		}
	}
}

package maintenance

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// In New York the clocks of 2026 go forward on March 8 at 2:00 and back on November 1
// at 2:00; in Santiago forward on September 6 at 0:00; on Lord Howe by half an hour,
// forward on October 4 at 2:00 and back on April 5 at 2:00.
func TestCronIsOfTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	const newYork = "America/New_York"
	for _, c := range []struct {
		name, cron, zone, after string
		want                    []string
	}{
		{"five fields", "30 6 * * mon", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-05T06:30:00Z", "2026-01-12T06:30:00Z"}},
		{"six fields", "*/20 0 12 * * *", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-01T12:00:00Z", "2026-01-01T12:00:20Z", "2026-01-01T12:00:40Z", "2026-01-02T12:00:00Z"}},
		{"daily", "@daily", "Europe/Berlin", "2026-06-01T12:00:00Z", []string{"2026-06-02T00:00:00+02:00", "2026-06-03T00:00:00+02:00"}},
		{"a leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		{"a day that never comes", "0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z", nil},

		{"an hour left out", "30 2 * * *", newYork, "2026-03-07T00:00:00-05:00",
			[]string{"2026-03-07T02:30:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"}},
		{"several times in an hour left out are one", "*/10 2,3 * * *", newYork, "2026-03-08T00:00:00-05:00",
			[]string{"2026-03-08T03:00:00-04:00", "2026-03-08T03:10:00-04:00"}},
		{"midnight left out", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00-04:00",
			[]string{"2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"}},
		{"half an hour left out", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
			[]string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"every hour and one left out", "30 * * * *", newYork, "2026-03-08T01:00:00-05:00",
			[]string{"2026-03-08T01:30:00-05:00", "2026-03-08T03:30:00-04:00"}},

		{"an hour that comes twice", "30 1 * * *", newYork, "2026-11-01T00:00:00-04:00",
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
		{"asked between the two", "30 1 * * *", newYork, "2026-11-01T01:45:00-04:00", []string{"2026-11-02T01:30:00-05:00"}},
		{"asked the second time", "50 1 * * *", newYork, "2026-11-01T01:40:00-05:00", []string{"2026-11-02T01:50:00-05:00"}},
		{"the hour after it", "0 2 * * *", newYork, "2026-11-01T00:00:00-04:00", []string{"2026-11-01T02:00:00-05:00"}},
		{"half an hour that comes twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		{"every hour and one that comes twice", "30 * * * *", newYork, "2026-11-01T00:45:00-04:00",
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-01T02:30:00-05:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cron, err := ParseCron(c.cron, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at := parse(t, c.after)
			for _, want := range c.want {
				if at = cron.Next(at); !at.Equal(parse(t, want)) {
					t.Fatalf("got %s, want %s", at.In(cron.location).Format(time.RFC3339), want)
				}
			}
			if len(c.want) == 0 && !cron.Next(at).IsZero() {
				t.Errorf("got %s, want nothing", cron.Next(at))
			}
		})
	}
}

// Nothing is left out and nothing comes twice in a year of some place: each day has
// its time.
func TestCronOfEachDay(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"America/New_York", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		for _, expression := range []string{"0 0 * * *", "30 1 * * *", "30 2 * * *", "15 2 * * *"} {
			cron, err := ParseCron(expression, zone)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2026, 1, 1, 12, 0, 0, 0, cron.location)
			for day := 2; day <= 365; day++ {
				at = cron.Next(at)
				if got := at.YearDay(); got != day {
					t.Fatalf("%s in %s: day %d came on day %d, at %s", expression, zone, day, got, at)
				}
			}
		}
	}
}

func TestNewest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cron, first, last string
		n                 int
		want              []string
	}{
		{"@hourly", "2026-01-01T00:00:00Z", "2026-01-01T02:30:00Z", 10, []string{"2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"}},
		{"@hourly", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", 1, []string{"2026-01-01T02:00:00Z"}},
		{"* * * * * *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 2, []string{"2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"}},
		{"@yearly", "2001-01-01T00:00:00Z", "2026-05-01T00:00:00Z", 2, []string{"2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"}},
		{"@daily", "2026-01-01T00:00:01Z", "2026-01-01T23:59:59Z", 2, nil},
	} {
		cron, err := ParseCron(c.cron, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, at := range cron.newest(parse(t, c.first), parse(t, c.last), c.n) {
			got = append(got, at.UTC().Format(time.RFC3339))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("the last %d of %s from %s to %s (-want +got):\n%s", c.n, c.cron, c.first, c.last, diff)
		}
	}
}

// What the database takes for a cron expression is one, and the reverse.
func TestCronMeansTheSameToTheDatabase(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	items := []string{"*", "?", "0", "1", "5", "7", "12", "23", "31", "59", "60", "1-5", "5-1", "*/2", "*/0", "3/4", "1-20/3", "0-59",
		"1,2", "sun", "SAT", "mon-fri", "jan", "DEC", "feb-apr", "x", "-1", "1-", "L", "1-2-3", "1/2/3", "*/", "1.5"}
	expressions := []string{"", "* * * *", "* * * * * * *", "@daily", "@hourly", "@midnight", "@reboot", "@every", "@Daily", "@yearly x"}
	for place := range 6 {
		for _, item := range items {
			fields := []string{"0", "0", "0", "1", "1", "1"}
			fields[place] = item
			text := ""
			for _, f := range fields {
				text += " " + f
			}
			expressions = append(expressions, text)
		}
	}
	for _, e := range expressions {
		trouble := dbtest.Value[*string](t, pool, "select htdag.cron_trouble($1)", e)
		_, err := ParseCron(e, "UTC")
		if (trouble == nil) != (err == nil) {
			said := "nothing"
			if trouble != nil {
				said = *trouble
			}
			t.Errorf("%q: the database finds wrong: %s; the parser says: %v", e, said, err)
		}
	}
}

func parse(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

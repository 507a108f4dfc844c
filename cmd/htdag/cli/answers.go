package cli

import (
	"encoding/json"
	"time"

	"github.com/htdag/htdag/db/dbsqlc"
)

// What verbs answer with --json. The names are those of the reports' columns.

type flowAnswer struct {
	Flow        string     `json:"flow"`
	Description *string    `json:"description"`
	Version     int32      `json:"version"`
	Draft       bool       `json:"draft"`
	StepsTotal  int32      `json:"steps_total"`
	RetiredAt   *time.Time `json:"retired_at"`
	Queued      int64      `json:"queued"`
	Running     int64      `json:"running"`
	PausedAt    *time.Time `json:"paused_at"`
}

type runAnswer struct {
	RunID      int64      `json:"run_id"`
	Flow       string     `json:"flow"`
	Version    int32      `json:"version"`
	State      string     `json:"state"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	StepsTotal int32      `json:"steps_total"`
	StepsDone  int32      `json:"steps_done"`
	Error      string     `json:"error"`
}

type stepAnswer struct {
	Step     string  `json:"step"`
	Group    string  `json:"group_path"`
	State    string  `json:"state"`
	Attempts int32   `json:"attempts"`
	Seconds  float64 `json:"ran_seconds"`
	Done     *int64  `json:"progress_done"`
	Total    *int64  `json:"progress_total"`
	Note     string  `json:"progress_note"`
	Error    string  `json:"error"`
}

func stepAnswerOf(s dbsqlc.StepReportsRow) stepAnswer {
	answer := stepAnswer{s.Step, s.GroupPath, s.State, s.Attempts, s.Ran.Seconds(), nil, nil, s.ProgressNote, s.Error}
	if s.ProgressDone >= 0 {
		answer.Done = &s.ProgressDone
	}
	if s.ProgressTotal > 0 {
		answer.Total = &s.ProgressTotal
	}
	return answer
}

type scheduleAnswer struct {
	Schedule  string          `json:"schedule"`
	Cron      string          `json:"cron"`
	TimeZone  string          `json:"time_zone"`
	Flow      string          `json:"flow"`
	Input     json.RawMessage `json:"input"`
	CatchUp   string          `json:"catch_up"`
	NextDueAt *time.Time      `json:"next_due_at"`
	LastDueAt *time.Time      `json:"last_due_at"`
	LastRunID *int64          `json:"last_run_id"`
	LastError string          `json:"last_error"`
	PausedAt  *time.Time      `json:"paused_at"`
	Trouble   string          `json:"trouble"`
}

func scheduleAnswerOf(s dbsqlc.SchedulesRow) scheduleAnswer {
	return scheduleAnswer{s.Schedule, s.Cron, s.TimeZone, s.Flow, s.Input, s.CatchUp, known(s.NextDueAt), known(s.LastDueAt), s.LastRunID,
		s.LastError, s.PausedAt, s.Trouble}
}

// answers turns rows into answers; none are an empty list and not null.
func answers[Row, Answer any](rows []Row, of func(Row) Answer) []Answer {
	all := make([]Answer, 0, len(rows))
	for _, r := range rows {
		all = append(all, of(r))
	}
	return all
}

type deadAnswer struct {
	RunID    int64           `json:"run_id"`
	Flow     string          `json:"flow"`
	Step     string          `json:"step"`
	Element  *int32          `json:"element"`
	Item     json.RawMessage `json:"item"`
	Input    json.RawMessage `json:"input"`
	Attempts int32           `json:"attempts"`
	Code     string          `json:"code"`
	Error    string          `json:"error"`
	DiedAt   time.Time       `json:"died_at"`
}

func deadAnswerOf(r dbsqlc.DeadTasksRow) deadAnswer {
	d := deadAnswer{r.RunID, r.Flow, r.Step, nil, r.Item, r.Input, r.Attempts, r.Code, r.Error, r.DiedAt}
	if r.Element >= 0 {
		d.Element = &r.Element
	}
	return d
}

package runner

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type part struct {
	Name  string
	Count *int
}

type order struct {
	part
	Number int       `json:"no"`
	Note   string    `json:"note,omitempty"`
	Parts  []part    `json:"parts"`
	By     time.Time `json:"by,omitzero"`
	Secret string    `json:"-"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, input, wrong string }{
		{"all that is needed", `{"Name": "a", "no": 1, "parts": []}`, ""},
		{"more than is needed", `{"Name": "a", "no": 1, "parts": [{"name": "x", "Count": 2}], "other": true, "by": "2026-01-02T03:04:05Z"}`, ""},
		{"names in another case", `{"NAME": "a", "No": 1, "Parts": null}`, ""},
		{"a field is missing", `{"Name": "a", "parts": []}`, "input.no is missing"},
		{"a field of an embedded struct is missing", `{"no": 1, "parts": []}`, "input.Name is missing"},
		{"a field of an element is missing", `{"Name": "a", "no": 1, "parts": [{"Name": "x"}, {"Count": 1}]}`, "input.parts[1].Name is missing"},
		{"a field is null", `{"Name": null, "no": 1, "parts": []}`, "input.Name is null"},
		{"what may be null is", `{"Name": "a", "no": 1, "parts": null, "Count": null, "note": null, "by": null}`, ""},
		{"the whole is null", `null`, "input is null"},
		{"a field has another type", `{"Name": "a", "no": "one", "parts": []}`, "input.no is a JSON string, which is no int"},
		{"the whole has another type", `[1]`, "input is a JSON array, which is no runner.order"},
		{"a value says what is wrong itself", `{"Name": "a", "no": 1, "parts": [], "by": "yesterday"}`,
			`input: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Input[order](&Task{Flow: "f", Step: "s", Input: json.RawMessage(c.input)})
			if c.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || err.Error() != "step s of flow f: "+c.wrong {
				t.Errorf("got %v, want step s of flow f: %s", err, c.wrong)
			}
			if !isPermanent(err) {
				t.Error("it would be tried again")
			}
		})
	}
}

func TestDecodeOtherTypes(t *testing.T) {
	t.Parallel()
	task := &Task{Flow: "f", Step: "s", Input: json.RawMessage(`{"a": {"Name": "x"}}`), Item: json.RawMessage(`"word"`), MapIndex: 3}
	if word, err := Item[string](task); err != nil || word != "word" {
		t.Errorf("got %q, %v", word, err)
	}
	if _, err := Item[int](task); err == nil || err.Error() != "step s of flow f: item 3 is a JSON string, which is no int" {
		t.Errorf("got %v", err)
	}
	if in, err := Input[map[string]part](task); err != nil || in["a"].Name != "x" {
		t.Errorf("got %v, %v", in, err)
	}
	if _, err := Input[map[string]*order](task); err == nil || err.Error() != "step s of flow f: input.a.no is missing" {
		t.Errorf("got %v", err)
	}
	if raw, err := Input[json.RawMessage](task); err != nil || string(raw) != string(task.Input) {
		t.Errorf("got %s, %v", raw, err)
	}
	if _, err := Needs[order](task); err == nil || err.Error() != "step s of flow f has no needs" {
		t.Errorf("got %v", err)
	}
}

func TestTypedHandler(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Register(r, "double", func(_ context.Context, _ *Task, in struct{ N int }) (map[string]int, error) {
		return map[string]int{"n": 2 * in.N}, nil
	})
	Register(r, "quiet", func(_ context.Context, _ *Task, n int) (struct{}, error) {
		if n < 0 {
			return struct{}{}, errors.New("negative")
		}
		return struct{}{}, nil
	})
	out, err := r.handlers["double"].Handle(t.Context(), &Task{Input: json.RawMessage(`{"n": 21}`)})
	if diff := cmp.Diff(map[string]int{"n": 42}, out); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if out, err := r.handlers["quiet"].Handle(t.Context(), &Task{Input: json.RawMessage(`{}`), Item: json.RawMessage(`7`)}); out != nil || err != nil {
		t.Errorf("got %v, %v; want neither output nor error", out, err)
	}
	if out, err := r.handlers["quiet"].Handle(t.Context(), &Task{Input: json.RawMessage(`-7`)}); out != nil || err == nil {
		t.Errorf("got %v, %v; want an error alone", out, err)
	}
}

func TestOutcomeErrors(t *testing.T) {
	t.Parallel()
	base := errors.New("base")
	if err := Permanent(Coded("quota", base)); Code(err) != "quota" || !isPermanent(err) || !errors.Is(err, base) || err.Error() != "base" {
		t.Errorf("got %v with code %q", err, Code(err))
	}
	if code := Code(base); code != "" {
		t.Errorf("an error without code has the code %q", code)
	}
	for given, want := range map[time.Duration]time.Duration{-time.Second: 0, time.Hour: time.Hour, 10 * 365 * 24 * time.Hour: longestSnooze} {
		if d, ok := snoozed(Snooze(given)); !ok || d != want {
			t.Errorf("Snooze(%s) is for %s, %t; want %s", given, d, ok, want)
		}
	}
	for _, definition := range []any{`{"steps":[]}`, []byte(`{"steps":[]}`), map[string]any{"steps": []any{}}} {
		if spec, ok := decomposed(Decompose(definition)); !ok || string(spec) != `{"steps":[]}` {
			t.Errorf("Decompose(%v) is %s, %t", definition, spec, ok)
		}
	}
	if err := Decompose(make(chan int)); !isPermanent(err) {
		t.Errorf("a definition that cannot be encoded gives %v", err)
	}
	if err := Decompose(`{"steps":`); !isPermanent(err) {
		t.Errorf("a definition that is no JSON gives %v", err)
	}
}

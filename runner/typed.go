package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Register adds a handler that takes and returns values of its own types. In is
// decoded from the step's element, for a map step, and from its input otherwise, as
// by Item and Input; Out is stored as the step's output, and nothing is where Out
// is struct{}.
//
// It panics when the kind is registered already.
func Register[In, Out any](r *Registry, kind string, handle func(ctx context.Context, t *Task, in In) (Out, error)) {
	r.Register(kind, HandlerFunc(func(ctx context.Context, t *Task) (any, error) {
		var in In
		var err error
		if t.Item != nil {
			in, err = Item[In](t)
		} else {
			in, err = Input[In](t)
		}
		if err != nil {
			return nil, err
		}
		out, err := handle(ctx, t, in)
		if err != nil {
			return nil, err
		}
		if _, none := any(out).(struct{}); none {
			return nil, nil
		}
		return out, nil
	}))
}

// Input decodes the input of a step: its run's, or what its argument takes out of
// that. Fields of T that are neither pointers nor marked omitempty or omitzero must
// be there. Fields that T does not have are passed over, since the steps of a run
// share its input and each knows its part of it. An error names the step and the
// field, and is permanent: trying again would not help.
func Input[T any](t *Task) (T, error) { return decode[T](t, "input", t.Input) }

// Item decodes the element that a map step is to work on, as Input does.
func Item[T any](t *Task) (T, error) {
	return decode[T](t, fmt.Sprintf("item %d", t.MapIndex), t.Item)
}

// Needs decodes the outputs of the steps that a step needs, by their names, as Input
// does. The step's definition must ask for them with wants_needs.
func Needs[T any](t *Task) (T, error) { return decode[T](t, "needs", t.Needs) }

func decode[T any](t *Task, what string, raw json.RawMessage) (v T, err error) {
	if len(raw) == 0 {
		return v, Permanent(fmt.Errorf("step %s of flow %s has no %s", t.Step, t.Flow, what))
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			field := what
			if wrong.Field != "" {
				field += "." + wrong.Field
			}
			err = fmt.Errorf("%s is a JSON %s, which is no %s", field, wrong.Value, wrong.Type)
		} else {
			err = fmt.Errorf("%s: %w", what, err)
		}
		return v, Permanent(fmt.Errorf("step %s of flow %s: %w", t.Step, t.Flow, err))
	}
	if field := missing(raw, reflect.TypeFor[T](), what); field != "" {
		return v, Permanent(fmt.Errorf("step %s of flow %s: %s is missing", t.Step, t.Flow, field))
	}
	return v, nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// missing returns the path of the first field that a value of type t needs and the
// document has not. The document has been decoded into such a value.
func missing(raw json.RawMessage, t reflect.Type, path string) string {
	if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) || string(raw) == "null" {
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return missing(raw, t.Elem(), path)
	case reflect.Slice, reflect.Array:
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil {
			return "" // bytes, which are written as a string
		}
		for i, e := range elements {
			if field := missing(e, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); field != "" {
				return field
			}
		}
	case reflect.Map:
		var members map[string]json.RawMessage
		_ = json.Unmarshal(raw, &members) // it has been decoded before
		for name, m := range members {
			if field := missing(m, t.Elem(), path+"."+name); field != "" {
				return field
			}
		}
	case reflect.Struct:
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			return "" // encoding.TextUnmarshaler, such as a time
		}
		return missingField(members, raw, t, path)
	}
	return ""
}

func missingField(members map[string]json.RawMessage, raw json.RawMessage, t reflect.Type, path string) string {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			// Its fields are written among those of the struct it is in.
			if f.Type.Kind() == reflect.Struct {
				if field := missing(raw, f.Type, path); field != "" {
					return field
				}
			}
			continue
		}
		if !f.IsExported() || name == "-" && options == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		member, ok := members[name]
		for key, value := range members {
			// Names match whatever their case, as for encoding/json.
			if !ok && strings.EqualFold(key, name) {
				member, ok = value, true
			}
		}
		if !ok {
			if f.Type.Kind() == reflect.Pointer || strings.Contains(","+options+",", ",omitempty,") || strings.Contains(","+options+",", ",omitzero,") {
				continue
			}
			return path + "." + name
		}
		if field := missing(member, f.Type, path+"."+name); field != "" {
			return field
		}
	}
	return ""
}

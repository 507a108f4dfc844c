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
// decoded, as by Item and Input, from the element of a map step that has no argument,
// and from the input otherwise; Out is stored as the step's output, and nothing is where Out
// is struct{}.
//
// It panics when the kind is registered already.
func Register[In, Out any](r *Registry, kind string, handle func(ctx context.Context, t *Task, in In) (Out, error)) {
	r.Register(kind, HandlerFunc(func(ctx context.Context, t *Task) (any, error) {
		var in In
		var err error
		if t.Item != nil && !t.argued {
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
// be there, and not null where null would be lost. Fields that T does not have are
// passed over, since the steps of a run share its input and each knows its part of
// it. An error names the step and the field, and is permanent: trying again would not
// help.
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
	if wrong := lacking(raw, reflect.TypeFor[T](), what); wrong != "" {
		return v, Permanent(fmt.Errorf("step %s of flow %s: %s", t.Step, t.Flow, wrong))
	}
	return v, nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// lacking says which field is the first that a value of type t needs and the document
// has not, or has as null. The document has been decoded into such a value.
func lacking(raw json.RawMessage, t reflect.Type, path string) string {
	if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
		return ""
	}
	if string(raw) == "null" {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			return ""
		}
		return path + " is null"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return lacking(raw, t.Elem(), path)
	case reflect.Slice, reflect.Array:
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil {
			return "" // bytes, which are written as a string
		}
		for i, e := range elements {
			if wrong := lacking(e, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); wrong != "" {
				return wrong
			}
		}
	case reflect.Map:
		var members map[string]json.RawMessage
		_ = json.Unmarshal(raw, &members) // it has been decoded before
		for name, m := range members {
			if wrong := lacking(m, t.Elem(), path+"."+name); wrong != "" {
				return wrong
			}
		}
	case reflect.Struct:
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			return "" // encoding.TextUnmarshaler, such as a time
		}
		return lackingField(members, raw, t, path)
	}
	return ""
}

func lackingField(members map[string]json.RawMessage, raw json.RawMessage, t reflect.Type, path string) string {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			// Its fields are written among those of the struct it is in.
			if f.Type.Kind() == reflect.Struct {
				if wrong := lacking(raw, f.Type, path); wrong != "" {
					return wrong
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
		optional := f.Type.Kind() == reflect.Pointer || strings.Contains(","+options+",", ",omitempty,") || strings.Contains(","+options+",", ",omitzero,")
		if optional && (!ok || string(member) == "null") {
			continue
		} else if !ok {
			return path + "." + name + " is missing"
		}
		if wrong := lacking(member, f.Type, path+"."+name); wrong != "" {
			return wrong
		}
	}
	return ""
}

package lang

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// extractPOM reads the dependencies of a Maven project, those it only manages and its
// plugins' left out. What stands before a syntax error is kept.
func extractPOM(_ context.Context, src Source) (Extraction, error) {
	f, ok := newDataFile(src)
	if !ok {
		return tooMuchData(src), nil
	}
	decoder := xml.NewDecoder(bytes.NewReader(blankMark(src.Text)))
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	var open []string                                                                          // names of the elements around
	var value strings.Builder
	values := map[string]string{} // of the dependency that is open
	at := 0
	for {
		before := int(decoder.InputOffset())
		token, err := decoder.Token()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				f.invalid(before, strings.TrimPrefix(err.Error(), "XML syntax error "))
			}
			return f.Extraction(), nil
		}
		switch t := token.(type) {
		case xml.StartElement:
			open = append(open, t.Name.Local)
			value.Reset()
			if pomDependency(open) {
				clear(values)
				at = before
			}
		case xml.CharData:
			value.Write(t)
		case xml.EndElement:
			switch text := strings.TrimSpace(value.String()); {
			case pomDependency(open):
				f.Require(at, pomRequirement(values))
			case len(open) > 1 && pomDependency(open[:len(open)-1]):
				values[t.Name.Local] = text
			case len(open) == 2 && open[1] == "artifactId":
				f.Module(text, "")
			}
			open = open[:max(len(open)-1, 0)]
			value.Reset()
		}
	}
}

// pomDependency says whether the innermost element is a dependency of the project or
// of one of its profiles.
func pomDependency(open []string) bool {
	path := strings.Join(open, "/")
	return path == "project/dependencies/dependency" || path == "project/profiles/profile/dependencies/dependency"
}

func pomRequirement(values map[string]string) Requirement {
	r := Requirement{Ecosystem: "maven", Version: values["version"], Kind: NeedRuntime}
	if values["groupId"] != "" && values["artifactId"] != "" {
		r.Name = values["groupId"] + ":" + values["artifactId"]
	}
	switch {
	case values["optional"] == "true":
		r.Kind = NeedOptional
	case values["scope"] == "test":
		r.Kind = NeedDev
	case values["scope"] == "provided":
		r.Kind = NeedPeer
	}
	return r
}

package lang

import (
	"bytes"
	"encoding/json"
	"strings"
)

// jsonNeeds says which members of a manifest declare packages, and of what kind.
var jsonNeeds = map[string]struct {
	ecosystem string
	members   map[string]string
}{
	"package.json": {"npm", map[string]string{
		"dependencies": NeedRuntime, "devDependencies": NeedDev, "peerDependencies": NeedPeer, "optionalDependencies": NeedOptional,
	}},
	"composer.json": {"composer", map[string]string{"require": NeedRuntime, "require-dev": NeedDev}},
}

// jsonRequirements reads the packages that a package.json or composer.json declares:
// objects of names and ranges. What is built otherwise is passed over, and what
// stands before a syntax error is kept.
func (f *dataFile) jsonRequirements(base string, text []byte) {
	needs, ok := jsonNeeds[base]
	if !ok {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	_ = jsonMembers(decoder, text, func(member string, _ int) error {
		kind, ok := needs.members[member]
		if !ok {
			return skipJSONValue(decoder)
		}
		return jsonMembers(decoder, text, func(name string, at int) error {
			token, err := decoder.Token()
			if err != nil {
				return err
			}
			if _, opens := token.(json.Delim); opens {
				return skipJSON(decoder)
			}
			version, ok := token.(string)
			if !ok || needs.ecosystem == "composer" && !strings.Contains(name, "/") {
				return nil // php itself and its extensions, or no range
			}
			f.Require(at, Requirement{Ecosystem: needs.ecosystem, Name: name, Version: version, Kind: kind})
			return nil
		})
	})
}

// jsonMembers calls do for each member of the object that comes next, which has to
// read the member's value; any other value is passed over.
func jsonMembers(decoder *json.Decoder, text []byte, do func(name string, at int) error) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		if _, opens := token.(json.Delim); opens {
			return skipJSON(decoder)
		}
		return nil
	}
	for {
		at := skipJSONSpace(text, int(decoder.InputOffset()))
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return nil // the closing brace
		}
		if err := do(name, at); err != nil {
			return err
		}
	}
}

// skipJSONValue reads one value.
func skipJSONValue(decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if _, opens := token.(json.Delim); opens {
		return skipJSON(decoder)
	}
	return nil
}

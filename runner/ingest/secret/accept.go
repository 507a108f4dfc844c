package secret

import (
	"bytes"
	"encoding/base64"
	"math"
	"regexp"
	"strings"
)

// accepts says whether a matched value is a secret and not a placeholder for one.
func (r *Rule) accepts(value []byte) bool {
	if placeholder.Match(value) || placeholder.Match(decoded(value)) || repeats(value) || common[strings.ToLower(string(value))] {
		return false
	}
	return entropy(value) >= r.Entropy && kinds(value) >= r.Kinds
}

// decoded is the text that a value is the base64 of, if it is that of one.
func decoded(value []byte) []byte {
	text := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
	n, err := base64.StdEncoding.Decode(text, value)
	if err != nil || bytes.ContainsFunc(text[:n], func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil
	}
	return text[:n]
}

// placeholder is what stands where a secret is to be put, is read from elsewhere or was
// taken out.
var placeholder = regexp.MustCompile(`(?i)://|example|sample|dummy|placeholder|change.?me|replace|your[-_ ]?|insert|redacted|` +
	`removed|hidden|masked|secret|passw|token|credential|xxxx|\*\*\*|\.\.\.|…|1234567|abcdef|qwerty|` +
	`^[<\[({].*[>\])}]$|\$[{(A-Za-z_]|\{\{|%[sdvqx(]|\\[({]|^env[.:]|^@|^#\{`)

// common are passwords that hide nothing.
var common = func() map[string]bool {
	all := map[string]bool{}
	for word := range strings.FieldsSeq("pass pwd root admin guest user test tests testing foo bar baz foobar hunter2 letmein " +
		"postgres mysql mariadb mongo redis rabbit rabbitmq minio localhost none null nil true false undefined default demo") {
		all[word] = true
	}
	return all
}()

// repeats says whether a value is little more than one piece written again and again, or
// hardly has more than a few characters.
func repeats(value []byte) bool {
	var seen [256]bool
	distinct := 0
	for _, c := range value {
		if !seen[c] {
			seen[c] = true
			distinct++
		}
	}
	for period := 1; period <= len(value)/2; period++ {
		if bytes.Equal(value[period:], value[:len(value)-period]) {
			return true
		}
	}
	return distinct <= 3
}

// entropy is Shannon's, in bits per byte, of the frequencies of bytes.
func entropy(value []byte) float64 {
	var counts [256]int
	for _, c := range value {
		counts[c]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			share := float64(n) / float64(len(value))
			sum -= share * math.Log2(share)
		}
	}
	return sum
}

// kinds counts which of lower case letters, capitals, digits and others a value has.
func kinds(value []byte) int {
	var has [4]bool
	for _, c := range value {
		switch {
		case 'a' <= c && c <= 'z':
			has[0] = true
		case 'A' <= c && c <= 'Z':
			has[1] = true
		case '0' <= c && c <= '9':
			has[2] = true
		default:
			has[3] = true
		}
	}
	n := 0
	for _, h := range has {
		if h {
			n++
		}
	}
	return n
}

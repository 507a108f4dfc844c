package db_test

import (
	"testing"

	"github.com/htdag/htdag/db"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://u:secret@h:5432/d?sslmode=disable": "postgres://u:xxxxx@h:5432/d?sslmode=disable",
		"postgres://u@h/d":                                "postgres://u@h/d",
		"postgres:///d?host=/tmp":                         "postgres:///d?host=/tmp",
		"postgres://u:se:cr@et@h/d":                       "postgres://u:xxxxx@h/d",
		"postgres://u:secret@[::1/d":                      "postgres://u:xxxxx@[::1/d",
		"postgres://u:secret@h:port/d":                    "postgres://u:xxxxx@h:port/d",
		"postgres://h/d?user=u&password=secret&sslmode=x": "postgres://h/d?user=u&password=xxxxx&sslmode=x",
		"postgres://h/d?sslpassword=secret":               "postgres://h/d?sslpassword=xxxxx",
		"host=h password=secret user=u":                   "host=h password=xxxxx user=u",
		"host=h password = 'my \\' secret' user=u":        "host=h password = xxxxx user=u",
		"PASSWORD=secret":                                 "PASSWORD=xxxxx",
		"":                                                "",
	} {
		if got := db.Redact(given); got != want {
			t.Errorf("Redact(%q) = %q, want %q", given, got, want)
		}
	}
}

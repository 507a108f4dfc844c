package db_test

import (
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// Who waits for whom, and what comes of it, for each pair of verbs that can meet on
// one run. None may end in a deadlock.
func TestIsolation(t *testing.T) { dbtest.RunScripts(t, "../sql/test/isolation") }

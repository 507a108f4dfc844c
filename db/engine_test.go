package db_test

import (
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// What the engine promises, as scripts that read like documentation.
func TestEngine(t *testing.T) { dbtest.RunScripts(t, "../sql/test/engine") }

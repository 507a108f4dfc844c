package db_test

import (
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// What can be asked of the corpus, as scripts that read like documentation.
func TestCode(t *testing.T) { dbtest.RunScripts(t, "../sql/test/code") }

package main

// What the benchmark needs of other modules.
import (
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/htdag/htdag/db/dbsqlc"
	_ "github.com/htdag/htdag/runner"
	_ "github.com/htdag/htdag/sql"
	_ "github.com/jedib0t/go-pretty/v6/table"
	_ "golang.org/x/sync/errgroup"
)

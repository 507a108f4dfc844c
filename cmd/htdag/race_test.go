//go:build race

package main_test

// raceFlag has the command watched for races where the tests are.
var raceFlag = []string{"-race"}

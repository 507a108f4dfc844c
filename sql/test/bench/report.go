package main

import "fmt"

func report(s *server, p plan, all []*contestant) string {
	out := ""
	for _, c := range all {
		out += fmt.Sprintf("%s %s %d %+v %s %s\n", c.Shape, c.Engine, c.Runs, c.figures(), c.LeftOut, c.Failed)
	}
	return out
}

package localpg

import (
	"os/exec"
	"strings"
	"testing"
)

// Where process numbers are another container's, the running server's number
// means nothing or somebody else; a second server on its data would ruin them.
func TestServerInAnotherContainer(t *testing.T) {
	needRoot(t)
	t.Parallel()
	unshare := func(args ...string) *exec.Cmd {
		return exec.Command("unshare", append([]string{"--pid", "--fork", "--mount-proc"}, args...)...)
	}
	if out, err := unshare("true").CombinedOutput(); err != nil {
		t.Skipf("this container does not let root make others: %v: %s", err, out)
	}
	o := options(t)
	s := start(t, o)
	execute(t, s.URL(""), "create table kept as select 42 as n")

	program := helperCommand(t, "start", o.Dir)
	inside := unshare(program.Path)
	inside.Env = program.Env
	out, err := inside.CombinedOutput()
	if err == nil || !strings.Contains(string(out), ErrElsewhere.Error()) || !strings.Contains(string(out), "stop the server where it runs") {
		t.Errorf("a start in another container: %v: %s", err, out)
	}
	if again := start(t, o); !again.Joined() || again.Status().PID != s.Status().PID {
		t.Errorf("the server has not survived: %+v", again.Status())
	}
	if got := query(t, s.URL(""), "select n::text from kept"); got != "42" {
		t.Errorf("the table says %s", got)
	}
}

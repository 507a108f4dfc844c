package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ephemeral is what removes a temporary server again.
type ephemeral struct {
	dir   string
	guard *exec.Cmd
	line  io.Closer // the guard acts when this is closed, by us or by our end
	once  sync.Once
	err   error
}

// guardScript waits for the end of its input, which comes when the process that
// wrote to it closes the pipe or dies in whatever way, and then removes the
// server in $0. It is the only thing that still can after a SIGKILL.
const guardScript = `
read -r _
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null; then
	n=0
	while [ $n -lt 300 ] && kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
		n=$((n + 1))
	done
fi
rm -rf -- "$0"
`

func startEphemeral(ctx context.Context, o Options) (_ *Server, err error) {
	dir, err := os.MkdirTemp(o.Dir, "htdag-postgres-")
	if err != nil {
		return nil, refused("make a directory for a temporary database", err)
	}
	e := &ephemeral{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if os.Geteuid() == 0 {
		if err := os.Chmod(dir, 0o755); err != nil {
			return nil, refused("open the temporary directory "+dir, err)
		}
	}
	in, err := openInstance(dir)
	if err != nil {
		return nil, err
	}
	defer in.close()
	if err := e.watch(); err != nil {
		return nil, err
	}
	s, err := in.start(ctx, o)
	if err != nil {
		return nil, err
	}
	s.ephemeral = e
	return s, nil
}

// watch starts the guard.
func (e *ephemeral) watch() error {
	cmd := exec.Command("/bin/sh", "-c", guardScript, e.dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal must not reach it
	line, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start the guard of the temporary database in %s: %w", e.dir, err)
	}
	e.guard, e.line = cmd, line
	return nil
}

// close stops the server at once, without writing anything, and removes it.
func (e *ephemeral) close() error {
	e.once.Do(func() { e.err = e.remove() })
	return e.err
}

func (e *ephemeral) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := e.stop(ctx)
	err = errors.Join(err, os.RemoveAll(e.dir))
	if e.guard != nil {
		// The guard finds nothing left to do, unless the above failed.
		err = errors.Join(err, e.line.Close(), e.guard.Wait())
	}
	return err
}

func (e *ephemeral) stop(ctx context.Context) error {
	in, err := existingInstance(e.dir)
	if err != nil {
		return err
	}
	defer in.close()
	pm, _, err := in.postmaster(ctx)
	if err != nil {
		return err
	}
	if _, err := in.stop(ctx, syscall.SIGQUIT); err != nil {
		return err
	}
	if pm.socketDir != "" && !strings.HasPrefix(pm.socketDir, in.path+"/") {
		return os.Remove(pm.socketDir)
	}
	return nil
}

package localpg

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// choosePort prefers the port that was used last, so that URLs stay good.
func (in *instance) choosePort(o Options) (int, error) {
	if o.Port != 0 {
		if err := canListen(o.Port); err != nil {
			return 0, fmt.Errorf("start the local database in %s on port %d: %w; stop the program that has it, or ask for another port", in.path, o.Port, err)
		}
		return o.Port, nil
	}
	saved, err := in.read(portName)
	if err != nil {
		return 0, err
	}
	if port, err := strconv.Atoi(saved); err == nil && port > 0 && port < 65536 {
		if err := canListen(port); err == nil {
			return port, nil
		}
		o.Log.Warn("the port used last is taken by another program, choosing another", "port", port)
	}
	return freePort()
}

func canListen(port int) error {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// freePort looks below the range that systems give to outgoing connections (from
// 32768 on Linux, 49152 elsewhere): while the server is stopped, its port should
// not be lent to someone.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if canListen(port) == nil {
			return port, nil
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

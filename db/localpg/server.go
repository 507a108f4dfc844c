package localpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Server is a running server. Its methods may be called by any number of goroutines.
type Server struct {
	status    Status
	joined    bool
	password  string
	options   Options
	ephemeral *ephemeral // nil for one that lasts
}

// Status tells what was true when [Start] returned.
func (s *Server) Status() Status { return s.status }

// Joined tells that the server was running before this Start.
func (s *Server) Joined() bool { return s.joined }

// URL names a database of this server by TCP and password; it works for every
// user of this machine who is told it. Empty means the database postgres.
func (s *Server) URL(database string) string {
	return tcpURL(s.status.Port, s.password, database)
}

// SocketURL names a database by the unix socket, which has less to do for each
// round trip. It works without a password for the server's user and for root only.
func (s *Server) SocketURL(database string) string {
	return socketURL(s.status.SocketDir, s.status.Port, database)
}

// Binaries finds the programs that fit this server, psql among them.
func (s *Server) Binaries(ctx context.Context) (Binaries, error) {
	in, err := existingInstance(s.status.Dir)
	if err != nil {
		return Binaries{}, err
	}
	defer in.close()
	return in.binaries(ctx, s.options, s.status.Major)
}

// EnsureDatabase makes a database where there is none of that name. Two callers
// may do so at once.
func (s *Server) EnsureDatabase(ctx context.Context, name string) error {
	doing := fmt.Sprintf("make the database %q on the local server", name)
	if name == "" || len(name) > 63 {
		return fmt.Errorf("%s: a name has 1 to 63 bytes, not %d", doing, len(name))
	}
	conn, err := pgx.Connect(ctx, s.URL(""))
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_catalog.pg_database where datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if there {
		return nil
	}
	// template0, since nobody can be connected to it, which would make this fail.
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+" template template0")
	var pe *pgconn.PgError
	if errors.As(err, &pe) && (pe.Code == "42P04" || pe.Code == "23505") {
		return nil // someone else was quicker
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Stop stops the server: sessions are ended, what they committed is kept. An
// ephemeral server is removed as well.
func (s *Server) Stop(ctx context.Context) error {
	if s.ephemeral != nil {
		return s.Close()
	}
	_, err := Stop(ctx, s.options)
	return err
}

// Close stops and removes an ephemeral server; any other is left running. It may
// be called more than once.
func (s *Server) Close() error {
	if s.ephemeral == nil {
		return nil
	}
	return s.ephemeral.close()
}

// server connects to the running server, so that what Start returns is known to work.
func (in *instance) server(ctx context.Context, o Options, pm postmaster, joined bool) (*Server, error) {
	password, err := in.password(ctx, pm)
	if err != nil {
		return nil, err
	}
	st := in.describe(pm)
	if st.Version, err = ask(ctx, tcpURL(pm.port, password, "")); err != nil {
		return nil, in.loginFailed(err)
	}
	st.State, st.URL = Running, tcpURL(pm.port, password, "")
	if st.Major, err = in.madeMajor(); err != nil {
		return nil, err
	}
	o.Dir = in.path
	return &Server{status: st, joined: joined, password: password, options: o}, nil
}

func (in *instance) loginFailed(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "28P01" {
		return fmt.Errorf("log in to the local database in %s: %w; write the right password to %s, or remove that file to have a new one set",
			in.path, err, in.file(passwordName))
	}
	return fmt.Errorf("log in to the local database in %s (its log is %s): %w", in.path, in.file(logName), err)
}

// password reads the password, setting one first where there is none: in a new
// instance, or in one whose file was lost. The socket lets us in without it.
func (in *instance) password(ctx context.Context, pm postmaster) (string, error) {
	password, err := in.read(passwordName)
	if err != nil || password != "" {
		return password, err
	}
	password = rand.Text() // letters and digits: needs no quoting anywhere
	conn, err := pgx.Connect(ctx, socketURL(pm.socketDir, pm.port, ""))
	if err != nil {
		return "", fmt.Errorf("set the password of the local database in %s: %w", in.path, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{
		"set log_statement = 'none'", // nor may the log learn it, whatever the user has set
		"alter role " + superuser + " password '" + password + "'",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", fmt.Errorf("set the password of the local database in %s: %w", in.path, err)
		}
	}
	return password, in.write(passwordName, password+"\n", 0o600)
}

// ask connects and returns the server's version.
func ask(ctx context.Context, url string) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "select pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1)").Scan(&version)
	return version, err
}

func tcpURL(port int, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + orPostgres(database),
		RawQuery: "sslmode=disable", // it never leaves the machine
	}
	return u.String()
}

func socketURL(dir string, port int, database string) string {
	q := url.Values{"host": {dir}, "port": {strconv.Itoa(port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + orPostgres(database), RawQuery: q.Encode()}
	return u.String()
}

func orPostgres(database string) string {
	if database == "" {
		return "postgres"
	}
	return database
}

package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner/webhook"
)

const secret = "a secret that nobody sees"

// receiver is a server that checks what it gets and keeps it.
type receiver struct {
	*httptest.Server
	t      *testing.T
	answer func(r *http.Request, event event) int // 200 always, when nil

	mu       sync.Mutex
	got      []event // those it took, in order
	requests int
}

type event struct {
	Event int64  `json:"event"`
	Kind  string `json:"kind"`
	Run   int64  `json:"run"`
}

func newReceiver(t *testing.T, answer func(*http.Request, event) int) *receiver {
	r := &receiver{t: t, answer: answer}
	r.Server = httptest.NewTLSServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s", req.Header.Get("Htdag-Timestamp"), body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); req.Header.Get("Htdag-Signature") != want {
		r.t.Errorf("the signature is %s, want %s", req.Header.Get("Htdag-Signature"), want)
	}
	signed, err := strconv.ParseInt(req.Header.Get("Htdag-Timestamp"), 10, 64)
	if age := time.Since(time.Unix(signed, 0)); err != nil || age < -time.Second || age > time.Minute {
		r.t.Errorf("it was signed %v ago (%v)", age, err)
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		r.t.Error(err)
	}
	if got := req.Header.Get("Htdag-Event"); got != strconv.FormatInt(e.Event, 10) {
		r.t.Errorf("the header says event %s, the body %d", got, e.Event)
	}
	status := http.StatusOK
	if r.answer != nil {
		status = r.answer(req, e)
	}
	r.mu.Lock()
	r.requests++
	if status == http.StatusOK {
		r.got = append(r.got, e)
	}
	r.mu.Unlock()
	w.WriteHeader(status)
}

func (r *receiver) cas() *x509.CertPool {
	cas := x509.NewCertPool()
	cas.AddCert(r.Certificate())
	return cas
}

// checkOrder says what is wrong with what came: of each run its events in order, once.
func (r *receiver) checkOrder(pool *pgxpool.Pool) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	byRun := map[int64][]int64{}
	var all []int64
	for _, e := range r.got {
		byRun[e.Run] = append(byRun[e.Run], e.Event)
		all = append(all, e.Event)
	}
	for run, events := range byRun {
		if !slices.IsSorted(events) {
			r.t.Errorf("run %d was told of in the order %v", run, events)
		}
	}
	slices.Sort(all)
	if diff := cmp.Diff(dbtest.Column[int64](r.t, pool, "select event_id from htdag.events order by 1"), all); diff != "" {
		r.t.Errorf("events (-written +received):\n%s", diff)
	}
}

func subscribed(t *testing.T, address string, tries int) *pgxpool.Pool {
	t.Helper()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "job", "steps": [{"name": "a"}]}')`)
	dbtest.Exec(t, pool, "select htdag.subscribe('hook', '{\"flow\": \"job\"}', $1, p_secret => $2, p_max_tries => $3)", address, secret, tries)
	return pool
}

func states(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return dbtest.Column[string](t, pool, "select format('%s %s %s', state, coalesce(status::text, '-'), coalesce(error, '-')) from report.deliveries order by delivery_id")
}

func sendDue(t *testing.T, s *webhook.Sender) int {
	t.Helper()
	n, err := s.SendDue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A receiver that refuses every second event once: the events of each run come in
// order all the same.
func TestOrderPerRun(t *testing.T) {
	t.Parallel()
	refused := map[int64]bool{}
	var mu sync.Mutex
	r := newReceiver(t, func(_ *http.Request, e event) int {
		mu.Lock()
		defer mu.Unlock()
		if e.Event%2 == 0 && !refused[e.Event] {
			refused[e.Event] = true
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	pool := subscribed(t, r.URL+"/hook", 5)
	dbtest.Exec(t, pool, "select htdag.start_flows('job', array(select '{}'::jsonb from generate_series(1, 25)))")
	dbtest.Exec(t, pool, "select htdag.cancel_run(run_id) from htdag.runs order by run_id desc")
	s := webhook.New(pool, webhook.Options{AllowPrivate: true, RootCAs: r.cas()})
	for rounds := 0; dbtest.Value[bool](t, pool, "select exists (select from report.deliveries where state = 'pending')"); rounds++ {
		if rounds > 10 {
			t.Fatal("events are left after ten rounds")
		}
		sendDue(t, s)
		dbtest.Exec(t, pool, "update htdag.deliveries set due_at = now() where state = 'pending'")
	}
	r.checkOrder(pool)
	if len(refused) != 25 {
		t.Errorf("%d events were refused, want 25", len(refused))
	}
}

// Two senders at work while things happen: each event comes once, those of a run in order.
func TestSendersShareTheWork(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	pool := subscribed(t, r.URL, 5)
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for range 2 {
		s := webhook.New(pool, webhook.Options{AllowPrivate: true, RootCAs: r.cas(), Poll: 10 * time.Millisecond, Concurrency: 4})
		senders.Go(func() { s.Run(ctx) })
	}
	for range 20 {
		dbtest.Exec(t, pool, "select htdag.start_flow('job'), htdag.start_flow('job')")
		dbtest.Exec(t, pool, "select htdag.cancel_run(run_id) from htdag.runs where finished_at is null order by run_id")
	}
	dbtest.WaitFor(t, pool, "select not exists (select from report.deliveries where state = 'pending')")
	stop()
	senders.Wait()
	r.checkOrder(pool)
}

// What is refused again and again is dead, is listed, and can be sent again.
func TestDead(t *testing.T) {
	t.Parallel()
	broken := true
	r := newReceiver(t, func(*http.Request, event) int {
		if broken {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	pool := subscribed(t, r.URL, 2)
	dbtest.Exec(t, pool, "select htdag.start_flow('job')")
	s := webhook.New(pool, webhook.Options{AllowPrivate: true, RootCAs: r.cas()})
	const refused = "500 it answered 500 Internal Server Error"
	for i, want := range []string{"pending " + refused, "pending " + refused, "dead " + refused} {
		// The second time it is not due yet.
		if n := sendDue(t, s); n != 1-i%2 {
			t.Errorf("%d requests at turn %d", n, i)
		}
		if diff := cmp.Diff([]string{want}, states(t, pool)); diff != "" {
			t.Error(diff)
		}
		if i == 1 {
			dbtest.Exec(t, pool, "update htdag.deliveries set due_at = now()")
		}
	}
	broken = false
	if !dbtest.Value[bool](t, pool, "select htdag.redeliver(1)") {
		t.Error("it was not to be sent again")
	}
	sendDue(t, s)
	if diff := cmp.Diff([]string{"delivered 200 -"}, states(t, pool)); diff != "" {
		t.Error(diff)
	}
	r.checkOrder(pool)
}

// Addresses inside are refused when the connection is made, whatever name led there.
func TestPrivateAddressRefused(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	for _, address := range []string{r.URL, strings.Replace(r.URL, "127.0.0.1", "localhost", 1), strings.Replace(r.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1)} {
		pool := subscribed(t, address, 1)
		dbtest.Exec(t, pool, "select htdag.start_flow('job')")
		sendDue(t, webhook.New(pool, webhook.Options{RootCAs: r.cas()}))
		if got := states(t, pool); len(got) != 1 || !strings.HasPrefix(got[0], "dead - ") || !strings.Contains(got[0], webhook.ErrPrivate.Error()) {
			t.Errorf("%s: %v", address, got)
		}
	}
	if r.requests != 0 {
		t.Errorf("%d requests came through", r.requests)
	}
}

func TestPlainHTTPRefused(t *testing.T) {
	t.Parallel()
	pool := subscribed(t, "http://example.com/", 1)
	dbtest.Exec(t, pool, "select htdag.start_flow('job')")
	sendDue(t, webhook.New(pool, webhook.Options{}))
	if diff := cmp.Diff([]string{"dead - its address is not https"}, states(t, pool)); diff != "" {
		t.Error(diff)
	}
}

// A redirect could lead anywhere: it is a failure.
func TestRedirectNotFollowed(t *testing.T) {
	t.Parallel()
	followed := false
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	t.Cleanup(elsewhere.Close)
	r := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(r.Close)
	cas := x509.NewCertPool()
	cas.AddCert(r.Certificate())
	pool := subscribed(t, r.URL, 1)
	dbtest.Exec(t, pool, "select htdag.start_flow('job')")
	sendDue(t, webhook.New(pool, webhook.Options{AllowPrivate: true, RootCAs: cas}))
	if diff := cmp.Diff([]string{"dead 307 it answered 307 Temporary Redirect"}, states(t, pool)); diff != "" || followed {
		t.Errorf("followed: %t\n%s", followed, diff)
	}
}

// A receiver that is silent costs the timeout, and what is said of it, and of
// certificates that nobody vouches for, holds neither the secret nor the address.
func TestSilentAndUntrusted(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := newReceiver(t, func(*http.Request, event) int { <-release; return http.StatusOK })
	t.Cleanup(func() { close(release) })
	pool := subscribed(t, r.URL+"/token/in/path", 1)
	dbtest.Exec(t, pool, "select htdag.start_flow('job')")
	var log bytes.Buffer
	o := webhook.Options{AllowPrivate: true, RootCAs: r.cas(), Timeout: 200 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))}
	sendDue(t, webhook.New(pool, o))
	o.RootCAs = x509.NewCertPool()
	o.Timeout = 10 * time.Second
	dbtest.Exec(t, pool, "select htdag.start_flow('job')")
	sendDue(t, webhook.New(pool, o))
	got := states(t, pool)
	if len(got) != 2 || got[0] != "dead - no answer within 200ms" || !strings.Contains(got[1], "certificate") {
		t.Errorf("found %v", got)
	}
	said := log.String() + strings.Join(got, "\n") + strings.Join(dbtest.Column[string](t, pool, "select s::text from report.subscriptions s"), "\n")
	if strings.Contains(said, secret) || strings.Contains(said, "token") {
		t.Errorf("it says too much:\n%s", said)
	}
}

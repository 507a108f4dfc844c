package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/htdag/htdag/db/dbsqlc"
)

func newClient(opts Options) *http.Client {
	dialer := &net.Dialer{Timeout: opts.Timeout}
	if !opts.AllowPrivate {
		dialer.Control = publicOnly
	}
	return &http.Client{
		// No proxy: it would resolve the name itself, past the check of addresses.
		Transport: &http.Transport{
			DialContext:           dialer.DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: opts.RootCAs},
			TLSHandshakeTimeout:   opts.Timeout,
			ResponseHeaderTimeout: opts.Timeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   opts.Concurrency,
			IdleConnTimeout:       time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       opts.Timeout,
	}
}

// post makes the request; its errors name no address, which may hold a secret.
func (s *Sender) post(ctx context.Context, d dbsqlc.HtdagDeliveryClaim) (status int32, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Url, strings.NewReader(d.Body))
	if err != nil {
		return 0, errors.New("its address is malformed")
	}
	if req.URL.Scheme != "https" && !s.opts.AllowPrivate {
		return 0, errors.New("its address is not https")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "htdag")
	req.Header.Set("Htdag-Event", strconv.FormatInt(d.EventID, 10))
	req.Header.Set("Htdag-Delivery", strconv.FormatInt(d.DeliveryID, 10))
	req.Header.Set("Htdag-Timestamp", strconv.FormatInt(d.SentAt, 10))
	req.Header.Set("Htdag-Signature", "sha256="+d.Signature)
	resp, err := s.client.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			if outer.Timeout() {
				return 0, fmt.Errorf("no answer within %s", s.opts.Timeout)
			}
			err = outer.Err
		}
		return 0, err
	}
	defer resp.Body.Close()
	// What is read to the end can be used for the next request.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return int32(resp.StatusCode), fmt.Errorf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return int32(resp.StatusCode), nil
}

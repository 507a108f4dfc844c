package webhook

import (
	"net/netip"
	"testing"
)

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"1.1.1.1":              true,
		"93.184.215.14":        true,
		"2606:4700:4700::1111": true,
		"::ffff:1.1.1.1":       true,
		"127.0.0.1":            false,
		"127.8.9.10":           false,
		"0.0.0.0":              false,
		"0.1.2.3":              false,
		"10.1.2.3":             false,
		"100.64.0.1":           false,
		"169.254.169.254":      false,
		"172.16.0.1":           false,
		"172.31.255.255":       false,
		"172.32.0.1":           true,
		"192.168.1.1":          false,
		"198.18.0.1":           false,
		"224.0.0.1":            false,
		"240.0.0.1":            false,
		"255.255.255.255":      false,
		"::":                   false,
		"::1":                  false,
		"::127.0.0.1":          false,
		"::ffff:127.0.0.1":     false,
		"::ffff:10.0.0.1":      false,
		"64:ff9b::a00:1":       false,
		"2002:a00:1::":         false,
		"2001:0:4136:e378::1":  false,
		"fe80::1%eth0":         false,
		"fc00::1":              false,
		"fd12:3456:789a::1":    false,
		"fec0::1":              false,
		"ff02::1":              false,
		"2001:db8::1":          false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("isPublic(%s) = %t", address, got)
		}
	}
}

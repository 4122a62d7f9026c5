package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// dialer dials addresses that it has looked at.
type dialer struct {
	resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	private bool // whether it dials addresses that are not public
	net     net.Dialer
}

// dial resolves a name and connects to the first of its addresses that may be reached and answers.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	name = plain(name)
	var addrs []netip.Addr
	if literal, err := netip.ParseAddr(name); err == nil {
		addrs = []netip.Addr{literal}
	} else if addrs, err = d.resolve(ctx, name); err != nil {
		return nil, err
	}
	var errs []error
	for _, addr := range addrs {
		addr = addr.Unmap()
		if !d.private && !public(addr) {
			errs = append(errs, fmt.Errorf("the address %v of %.200q %w: it is not of the public internet, and the host is none of the operator's private hosts", addr, name, ErrNotAllowed))
			continue
		}
		conn, err := d.net.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("%.200q has no address", name)
	}
	return nil, errors.Join(errs...)
}

// special are addresses that are not of hosts of the public internet, beside those that package
// netip knows, and IPv6 addresses that are not of global (IANA's registries of special-purpose
// addresses).
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

// global has all IPv6 addresses that are assigned to hosts of the public internet (RFC 4291, 2.4, and
// IANA's registry of IPv6 address space).
var global = netip.MustParsePrefix("2000::/3")

// translated are IPv6 addresses that lead to an IPv4 address, which begins at that byte.
var translated = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"): 12, // NAT64
	netip.MustParsePrefix("2002::/16"):    2,  // 6to4
}

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, s := range all {
		parsed = append(parsed, netip.MustParsePrefix(s))
	}
	return parsed
}

// public reports whether an address is of the public internet.
func public(addr netip.Addr) bool {
	if addr = addr.Unmap(); addr.Zone() != "" {
		return false
	}
	for prefix, at := range translated {
		if prefix.Contains(addr) {
			b := addr.As16()
			return public(netip.AddrFrom4([4]byte(b[at : at+4])))
		}
	}
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && (addr.Is4() || global.Contains(addr)) &&
		!slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) })
}

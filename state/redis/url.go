package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Defaults and bounds of what a URL says.
const (
	DefaultName    = "resonhost"
	DefaultTimeout = 5 * time.Second
	DefaultLease   = 10 * time.Second

	minTimeout, maxTimeout = 100 * time.Millisecond, time.Minute
	minLease, maxLease     = time.Second, 10 * time.Minute
	maxReplicas            = 16
	maxAddresses           = 64
	maxSecret              = 4 << 10 // of a file with a password, in bytes
	maxCertificates        = 1 << 20
)

// target is what a URL says.
type target struct {
	addresses        []string
	master           string // of Sentinel
	cluster          bool
	db               int
	user, password   string
	sentinelUser     string
	sentinelPassword string
	tls              *tls.Config
	name             string
	timeout, lease   time.Duration
	replicas         int
	mayEvict         bool
	shown            string // for errors and logs: nothing secret

	answered atomic.Bool // whether a server has ever answered as Redis may
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// CheckURL returns an error that wraps [ErrURL] unless Open could use the URL. It connects to nobody.
func CheckURL(text string) error {
	if _, err := parseURL(text); err != nil {
		return fmt.Errorf("%w: %w", ErrURL, err)
	}
	return nil
}

// parseURL reads a URL, and the files that it names. An error has nothing of it that is secret.
func parseURL(text string) (*target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("is no URL") // the error of package url has all of it
	}
	t := &target{name: DefaultName, timeout: DefaultTimeout, lease: DefaultLease, user: u.User.Username()}
	t.password, _ = u.User.Password()
	secure, err := t.scheme(u.Scheme)
	if err != nil {
		return nil, err
	}
	if u.Opaque != "" || u.Fragment != "" || u.Host == "" {
		return nil, errors.New("must have the form redis://HOST:PORT")
	}
	if err := t.hosts(u.Host); err != nil {
		return nil, err
	}
	t.shown = u.Scheme + "://" + u.Host + u.EscapedPath()
	if err := t.path(strings.Trim(u.Path, "/")); err != nil {
		return nil, err
	}
	if secure {
		t.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("what follows ? must have the form key=value&key=value")
	}
	if err := t.query(q); err != nil {
		return nil, err
	}
	return t, nil
}

// Schemes of URLs.
const (
	sentinelScheme = "+sentinel"
	clusterScheme  = "+cluster"
)

func (t *target) scheme(s string) (secure bool, err error) {
	base := s
	switch {
	case strings.HasSuffix(s, sentinelScheme):
		base = strings.TrimSuffix(s, sentinelScheme)
		t.master = "?" // until the path says it
	case strings.HasSuffix(s, clusterScheme):
		base = strings.TrimSuffix(s, clusterScheme)
		t.cluster = true
	}
	if base != "redis" && base != "rediss" {
		return false, fmt.Errorf("scheme %.40q must be redis or rediss, with or without +sentinel or +cluster", s)
	}
	return base == "rediss", nil
}

// hosts reads addresses with commas between them.
func (t *target) hosts(list string) error {
	port := "6379"
	if t.master != "" {
		port = "26379"
	}
	for a := range strings.SplitSeq(list, ",") {
		if a == "" || strings.HasPrefix(a, ":") {
			return errors.New("has an address without a host")
		}
		if host, p, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), port)
		} else if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || host == "" {
			return fmt.Errorf("address %.80q must be HOST:PORT", a)
		}
		t.addresses = append(t.addresses, a)
	}
	if len(t.addresses) > maxAddresses || len(t.addresses) > 1 && t.master == "" && !t.cluster {
		return errors.New("several addresses take the scheme redis+sentinel or redis+cluster, and at most 64")
	}
	return nil
}

// path reads MASTER/DB of Sentinel, and DB of others.
func (t *target) path(p string) (err error) {
	db := p
	if t.master != "" {
		t.master, db, _ = strings.Cut(p, "/")
		if t.master == "" {
			return errors.New("must name the master after the addresses: redis+sentinel://HOST:PORT/MASTER")
		}
	}
	if db == "" {
		return nil
	}
	if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 || t.db > 1<<16 || t.cluster {
		return fmt.Errorf("database %.40q must be a number, and a cluster has none", db)
	}
	return nil
}

// query reads the keys behind the question mark.
func (t *target) query(q url.Values) error {
	for key, values := range q {
		if len(values) != 1 {
			return fmt.Errorf("%.40s is there %d times", key, len(values))
		}
		if err := t.set(key, values[0]); err != nil {
			return fmt.Errorf("%.40s: %w", key, err)
		}
	}
	return nil
}

func (t *target) set(key, v string) (err error) {
	switch key {
	case "name":
		t.name = v
		if !nameForm.MatchString(v) {
			err = errors.New("must have 1 to 64 letters, digits, dots, underscores and hyphens")
		}
	case "timeout":
		t.timeout, err = duration(v, minTimeout, maxTimeout)
	case "lease":
		t.lease, err = duration(v, minLease, maxLease)
	case "replicas":
		if t.replicas, err = strconv.Atoi(v); err != nil || t.replicas < 0 || t.replicas > maxReplicas {
			err = fmt.Errorf("must be between 0 and %d", maxReplicas)
		}
	case "evict":
		t.mayEvict = v == "allow"
		if !t.mayEvict && v != "refuse" {
			err = errors.New("must be allow or refuse")
		}
	case "password_file":
		t.password, err = secret(v)
	case "sentinel_user":
		t.sentinelUser = v
	case "sentinel_password_file":
		t.sentinelPassword, err = secret(v)
	case "ca":
		err = t.authorities(v)
	default:
		err = errors.New("is no key that a URL of states has: these are ca, evict, lease, name, password_file, replicas, sentinel_password_file, sentinel_user and timeout")
	}
	return err
}

func duration(v string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("must be between %v and %v, such as 5s", least, most)
	}
	return d, nil
}

// secret reads a password from a file, whose last line break is none of it.
func secret(file string) (string, error) {
	b, err := readBounded(file, maxSecret)
	return strings.TrimRight(string(b), "\r\n"), err
}

func (t *target) authorities(file string) error {
	b, err := readBounded(file, maxCertificates)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	switch {
	case !pool.AppendCertsFromPEM(b):
		return fmt.Errorf("%s has no certificate in PEM", file)
	case t.tls == nil:
		return errors.New("takes the scheme rediss")
	}
	t.tls.RootCAs = pool
	return nil
}

func readBounded(file string, most int64) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > most:
		return nil, fmt.Errorf("%s must be a file of at most %d bytes", file, most)
	}
	return os.ReadFile(file)
}

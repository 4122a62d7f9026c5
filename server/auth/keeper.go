package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/internal/filewatch"
)

// Files are where it stands who may call a server, and what the server shows its clients. "" is none.
type Files struct {
	// Tokens is a file of tokens, see [Parse].
	Tokens string
	// Certificate and Key are the server's, in PEM.
	Certificate, Key string
	// ClientCA has the certificates of who signs those of clients, in PEM.
	ClientCA string
	// CertificateScopes are those of [Options].
	CertificateScopes []Scope
	// Logger receives what goes wrong with the files later, and failed attempts; default discards it.
	Logger *slog.Logger
	// Audit keeps when files were read anew; nil for none.
	Audit *Trail
	// Poll is how often the files are looked at without any event, and Patience for how long they
	// must be broken before that is told; default 2 s each.
	Poll, Patience time.Duration
}

// Keeper follows [Files]. What it has read last without a fault holds.
type Keeper struct {
	files    Files
	identity *Identity    // nil if nobody is asked
	shown    *certificate // nil without TLS
	watchers []*filewatch.Watcher
	reloads  *prometheus.CounterVec
	stale    *prometheus.GaugeVec
	expiry   prometheus.Collector // nil without TLS
}

// FileError is that a file of [Files] cannot be used.
type FileError struct {
	// Field is that of Files.
	Field, Path string
	Err         error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Field, e.Path, e.Err) }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

// Open reads the files, and follows them until Close. Its error is a [*FileError], or says which file
// is missing beside another.
func Open(f Files) (*Keeper, error) {
	if f.Logger == nil {
		f.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case (f.Certificate == "") != (f.Key == ""):
		return nil, errors.New("Certificate and Key: must be there together")
	case f.ClientCA != "" && f.Certificate == "":
		return nil, errors.New("ClientCA: needs Certificate and Key, as clients show certificates over TLS alone")
	}
	k := &Keeper{
		files: f,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "resonhost_auth_reloads_total", Help: "How often files were read anew, by what they have and whether they were sound.",
		}, []string{"what", "outcome"}),
		stale: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "resonhost_auth_stale", Help: "Whether files are broken, so that the server goes on with what they had before.",
		}, []string{"what"}),
	}
	if f.Tokens != "" || f.ClientCA != "" {
		k.identity = New(Options{Logger: f.Logger, CertificateScopes: f.CertificateScopes})
	}
	var follow []func()
	if f.Tokens != "" {
		start, err := k.openTokens()
		if err != nil {
			return nil, err
		}
		follow = append(follow, start)
	}
	if f.Certificate != "" {
		start, err := k.openCertificate()
		if err != nil {
			return nil, err
		}
		follow = append(follow, start)
	}
	for _, start := range follow {
		start()
	}
	return k, nil
}

// What files have, as metrics and the log name it.
const (
	whatTokens      = "tokens"
	whatCertificate = "certificate"
)

// openTokens reads the file of tokens, and returns what follows it.
func (k *Keeper) openTokens() (start func(), err error) {
	path := k.files.Tokens
	contents, err := filewatch.Read([]string{path}, MaxFile)
	if err != nil {
		return nil, &FileError{"Tokens", path, reason(err)}
	}
	entries, err := k.setTokens(contents[0])
	if err != nil {
		return nil, &FileError{"Tokens", path, err}
	}
	k.warnOfMode(path, 0o026, "others than its owner can change who may call, or all can read who may")
	if len(entries) == 0 {
		k.files.Logger.Warn("the file of tokens has no line; nobody may call by a token", "file", path)
	}
	n := len(entries) // of what holds: Told hears of it also when that is back, and nothing was taken
	return k.follow(whatTokens, []string{path}, contents, func(contents [][]byte) error {
		entries, err := k.setTokens(contents[0])
		if err == nil {
			n = len(entries)
		}
		return err
	}, func() string { return fmt.Sprintf("names: %d", n) }), nil
}

// setTokens takes a file of tokens over, unless it is empty.
func (k *Keeper) setTokens(text []byte) ([]Entry, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errEmpty
	}
	return k.identity.SetTokens(text)
}

// errEmpty is of a file that was cut off, or could not be written, more likely than one that shuts
// everybody out.
var errEmpty = errors.New("is empty; resonhost token new adds a line, and a line with # alone says that nobody may call")

// openCertificate reads the certificate, its key and who signs clients', and returns what follows
// them.
func (k *Keeper) openCertificate() (start func(), err error) {
	paths := []string{k.files.Certificate, k.files.Key}
	fields := []string{"Certificate", "Key", "ClientCA"}
	if k.files.ClientCA != "" {
		paths = append(paths, k.files.ClientCA)
	}
	var contents [][]byte
	for i, p := range paths {
		c, err := filewatch.Read([]string{p}, MaxFile)
		if err != nil {
			return nil, &FileError{fields[i], p, reason(err)}
		}
		contents = append(contents, c[0])
	}
	k.warnOfMode(k.files.Key, 0o027, "others than its owner can read the key")
	k.shown = new(certificate)
	set := func(contents [][]byte) (time.Time, error) {
		contents = append(contents, nil)
		return k.shown.set(contents[0], contents[1], contents[2])
	}
	expires, err := set(contents)
	switch {
	case errors.Is(err, errNoCertificate):
		return nil, &FileError{"ClientCA", k.files.ClientCA, err}
	case err != nil && isCertificate(contents[0]):
		return nil, &FileError{"Key", k.files.Key, err}
	case err != nil:
		return nil, &FileError{"Certificate", k.files.Certificate, err}
	}
	k.warnOfExpiry(expires)
	k.expiry = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "resonhost_tls_certificate_expiry_timestamp_seconds", Help: "When the server's certificate expires, in seconds since 1970.",
	}, func() float64 { return float64(k.shown.expires.Load()) })
	return k.follow(whatCertificate, paths, contents, func(contents [][]byte) error {
		until, err := set(contents)
		if err == nil {
			expires = until
		}
		return err
	}, func() string {
		k.warnOfExpiry(expires)
		return "expires: " + expires.UTC().Format(time.RFC3339)
	}), nil
}

// follow returns what follows files that have had the contents. result says what was taken over.
func (k *Keeper) follow(what string, paths []string, contents [][]byte, take func([][]byte) error, result func() string) (start func()) {
	k.stale.WithLabelValues(what).Set(0)
	for _, outcome := range []string{OutcomeDone, OutcomeFailed} {
		k.reloads.WithLabelValues(what, outcome)
	}
	told := func(err error) {
		rec := Record{Who: WhoFile, Action: "reload " + what, Target: paths[0], Outcome: OutcomeDone}
		if err != nil {
			k.stale.WithLabelValues(what).Set(1)
			rec.Outcome, rec.Detail = OutcomeFailed, err.Error()
			k.files.Logger.Error("files are broken; the server goes on with what they had before", "what", what, "file", paths[0], "error", err)
		} else {
			k.stale.WithLabelValues(what).Set(0)
			rec.Detail = result()
			k.files.Logger.Info("files were read anew", "what", what, "file", paths[0])
		}
		k.reloads.WithLabelValues(what, rec.Outcome).Inc()
		k.files.Audit.Add(context.Background(), rec)
	}
	return func() {
		k.watchers = append(k.watchers, filewatch.Start(filewatch.Config{
			Paths: paths, Max: MaxFile, Poll: k.files.Poll, Patience: k.files.Patience, Take: take, Told: told,
		}, contents))
	}
}

// warnOfMode warns of a file that others may use in a way of the mask.
func (k *Keeper) warnOfMode(path string, mask os.FileMode, what string) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&mask != 0 && runtime.GOOS != "windows" { // which has no such bits
		k.files.Logger.Warn("a file's permissions are too open: "+what, "file", path, "mode", info.Mode().Perm().String())
	}
}

func (k *Keeper) warnOfExpiry(expires time.Time) {
	if !time.Now().Before(expires) {
		k.files.Logger.Warn("the server's certificate has expired", "file", k.files.Certificate, "expired", expires)
	}
}

// reason is an error without the path, which FileError has.
func reason(err error) error {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Identity returns who may call, nil if there is neither a file of tokens nor one of ClientCA.
func (k *Keeper) Identity() *Identity { return k.identity }

// TLS returns the configuration of the server, nil without a certificate.
func (k *Keeper) TLS() *tls.Config {
	if k.shown == nil {
		return nil
	}
	return k.shown.serve()
}

// Reload has the files looked at now, which they are soon anyway.
func (k *Keeper) Reload() {
	for _, w := range k.watchers {
		w.Look()
	}
}

// Collectors returns the metrics of the files, and of the Identity.
func (k *Keeper) Collectors() []prometheus.Collector {
	all := []prometheus.Collector{k.reloads, k.stale}
	if k.expiry != nil {
		all = append(all, k.expiry)
	}
	if k.identity != nil {
		all = append(all, k.identity.Collectors()...)
	}
	return all
}

// Close ends the following. It may be called more than once.
func (k *Keeper) Close() {
	for _, w := range k.watchers {
		w.Close()
	}
}

package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Variables are those of the environment that [Options.FromEnv] reads, by OpenTelemetry's names.
var Variables = []string{
	"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_PROTOCOL",
	"OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY",
	"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
}

// FromEnv sets what OpenTelemetry's variables of the environment say, as getenv has them, such as
// [os.Getenv]. An empty variable is none. Its error names each variable that is wrong, and not its value.
func (o *Options) FromEnv(getenv func(string) string) error {
	var errs []error
	read := func(name string, set func(value string) error) {
		value := strings.TrimSpace(getenv(name))
		if value == "" {
			return
		}
		if err := set(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	read("OTEL_EXPORTER_OTLP_HEADERS", func(v string) (err error) {
		o.Header, err = pairs(v, headerRule)
		return err
	})
	read("OTEL_RESOURCE_ATTRIBUTES", func(v string) (err error) {
		o.Attributes, err = pairs(v, func(string, string) string { return "" })
		for _, of := range []struct {
			key string
			to  *string
		}{{"service.name", &o.Service}, {"service.version", &o.Version}} {
			if s, ok := o.Attributes[of.key]; ok {
				*of.to = s
				delete(o.Attributes, of.key)
			}
		}
		return err
	})
	read("OTEL_SERVICE_NAME", func(v string) error { o.Service = v; return nil })
	read("OTEL_EXPORTER_OTLP_TIMEOUT", func(v string) error { return milliseconds(v, &o.Timeout) })
	read("OTEL_METRIC_EXPORT_INTERVAL", func(v string) error { return milliseconds(v, &o.Every) })
	read("OTEL_EXPORTER_OTLP_COMPRESSION", func(v string) error {
		if o.Compress = v == "gzip"; !o.Compress && v != "none" {
			return errors.New("must be gzip or none")
		}
		return nil
	})
	read("OTEL_EXPORTER_OTLP_PROTOCOL", func(v string) error {
		if v != "http/protobuf" {
			return errors.New("must be http/protobuf: nothing else is spoken")
		}
		return nil
	})
	errs = append(errs, o.readFiles(getenv))
	return errors.Join(errs...)
}

// readFiles reads what an https endpoint is checked by, and what it is shown.
func (o *Options) readFiles(getenv func(string) string) error {
	const authority, certificate, key = "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := getenv(authority); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", authority, err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s: %s has no certificate in PEM", authority, file)
		}
	}
	mine, secret := getenv(certificate), getenv(key)
	switch {
	case (mine == "") != (secret == ""):
		return fmt.Errorf("%s and %s: one is of no use without the other", certificate, key)
	case mine != "":
		pair, err := tls.LoadX509KeyPair(mine, secret)
		if err != nil {
			return fmt.Errorf("%s: %w", certificate, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	case cfg.RootCAs == nil:
		return nil
	}
	o.TLS = cfg
	return nil
}

// maxPairs bounds how many pairs a variable has.
const maxPairs = 64

// pairs reads a=b,c=d, of which the values are percent-encoded as in URLs. rule returns what is wrong with
// one.
func pairs(list string, rule func(key, value string) string) (map[string]string, error) {
	all := make(map[string]string)
	parts := strings.Split(list, ",")
	if len(parts) > maxPairs {
		return nil, fmt.Errorf("must have at most %d pairs", maxPairs)
	}
	for i, part := range parts {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, fmt.Errorf("must be pairs such as key=value with commas between; the %d. is none", i+1)
		}
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("the value of the %d. pair, %.40q, is not percent-encoded as it must be", i+1, key)
		}
		if wrong := rule(key, value); wrong != "" {
			return nil, errors.New(wrong)
		}
		all[key] = value
	}
	return all, nil
}

// headerRule returns what is wrong with a header; "" if nothing is. It does not tell the value, which may
// be a secret.
func headerRule(name, value string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}) {
		return fmt.Sprintf("%.40q is no name of a header", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && (r < ' ' || r == 0x7f) }) {
		return fmt.Sprintf("the value of %.40q must have no control characters", name)
	}
	return ""
}

func milliseconds(text string, to *time.Duration) error {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 || n > int(24*time.Hour/time.Millisecond) {
		return errors.New("must be a number of milliseconds, at most a day")
	}
	*to = time.Duration(n) * time.Millisecond
	return nil
}

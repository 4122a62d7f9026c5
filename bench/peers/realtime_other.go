//go:build !linux

package main

import "errors"

func (*process) realtime() (restore func() error, err error) { return nil, errors.ErrUnsupported }

//go:build !linux

package main

import "errors"

func (*process) realtime(bool) error { return errors.ErrUnsupported }

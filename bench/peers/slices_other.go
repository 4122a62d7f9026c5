//go:build !linux

package main

import "errors"

func (*process) shortTurns() (restore func() error, err error) { return nil, errors.ErrUnsupported }

//go:build !unix

package auth

import "os"

func lock(*os.File) error             { return nil }
func own(*os.File, os.FileInfo) error { return nil }
func syncDir(string) error            { return nil }

//go:build !linux

package memory

func (*file) withoutScan()    {}
func (*file) withoutCount()   {}
func (*file) withoutPagemap() {}

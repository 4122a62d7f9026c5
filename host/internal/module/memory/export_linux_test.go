package memory

func (f *file) withoutScan() {
	if f.pages != nil {
		f.pages.scans = false
	}
}

func (f *file) withoutCount() {
	if f.pages != nil {
		f.pages.counts = false
	}
}

func (f *file) withoutPagemap() {
	f.pages.close()
	f.pages = nil
}

// Unmappable makes the image one that no memory can map, until restore is called.
func (im *Image) Unmappable() (restore func()) {
	fd := im.file.fd
	im.file.fd = -1
	return func() { im.file.fd = fd }
}

// Tracking says what is known of the copies of an image's memories.
func (im *Image) Tracking() string {
	switch p := im.file.pages; {
	case im.file.mapped == nil:
		return "plain"
	case p == nil:
		return "nothing"
	case p.scans && p.counts:
		return "scans and counts"
	case p.scans:
		return "scans"
	case p.counts:
		return "reads and counts"
	}
	return "reads"
}

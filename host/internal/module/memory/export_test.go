package memory

// WithoutScan makes the image's memories find their copies as kernels before Linux
// 6.7 can.
func (im *Image) WithoutScan() { im.file.withoutScan() }

// WithoutCount makes them look for copies at every reset.
func (im *Image) WithoutCount() { im.file.withoutCount() }

// WithoutPagemap makes them drop whatever there may be.
func (im *Image) WithoutPagemap() { im.file.withoutPagemap() }

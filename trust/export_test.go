package trust

// What decodes foreign bytes, for tests.
var (
	ParseManifest  = parseManifest
	ParseSignature = parseSignature
)

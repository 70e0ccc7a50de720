package httpapi

// Scan is scan, for the fuzz targets.
func Scan(doc []byte) (int, error) {
	found, err := scan(doc)
	return len(found), err
}

// Canonical is appendCanonical of a text that Scan accepts.
func Canonical(doc []byte) []byte { return appendCanonical(nil, doc) }

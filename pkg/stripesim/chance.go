package stripesim

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// chance is a source of draws that depend on nothing but the seed and the names: not on what was drawn before, nor on which
// of two requests came first.
func chance(seed uint64, names ...string) *rand.Rand {
	text := binary.LittleEndian.AppendUint64(nil, seed)
	for _, name := range names {
		text = binary.LittleEndian.AppendUint64(text, uint64(len(name)))
		text = append(text, name...)
	}
	sum := sha256.Sum256(text)
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16]))) //nolint:gosec // repeatable, not secret
}

package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/lib/pq/oid"
)

// array is an array parameter in PostgreSQL's binary format, which lib/pq uses for whatever is a []byte. Against pq.Array's text,
// nothing is quoted and escaped here, nor read and unescaped there, and a uuid takes half the bytes.
type array struct{ text []byte }

// newArray begins an array that is to hold exactly n elements, of about size bytes each. None is NULL.
func newArray(element oid.Oid, n, size int) *array {
	a := &array{text: make([]byte, 0, 20+n*(4+size))}
	if n == 0 {
		a.number(0) // dimensions
		a.number(0) // no NULLs
		a.number(uint32(element))
		return a
	}
	a.number(1)
	a.number(0)
	a.number(uint32(element))
	a.number(uint32(n))
	a.number(1) // the first index
	return a
}

func (a *array) number(n uint32) { a.text = binary.BigEndian.AppendUint32(a.text, n) }

// addText adds an element of a text[].
func (a *array) addText(text string) {
	a.number(uint32(len(text)))
	a.text = append(a.text, text...)
}

// addNull adds NULL.
func (a *array) addNull() { a.number(math.MaxUint32) }

// addInt adds an element of an int[].
func (a *array) addInt(n int) error {
	if n < math.MinInt32 || n > math.MaxInt32 {
		return fmt.Errorf("%d is no integer of PostgreSQL's", n)
	}
	a.number(4)
	a.number(uint32(int32(n)))
	return nil
}

// addUUID adds an element of a uuid[], given in the form 8-4-4-4-12 of hexadecimal digits.
func (a *array) addUUID(id string) error {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return errors.New("an id is no UUID")
	}
	a.number(16)
	for _, part := range [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		var digits [12]byte
		var err error
		if a.text, err = hex.AppendDecode(a.text, digits[:copy(digits[:], id[part[0]:part[1]])]); err != nil {
			return errors.New("an id is no UUID")
		}
	}
	return nil
}

// addWritten adds an element that write appends.
func (a *array) addWritten(write func([]byte) ([]byte, error)) error {
	begin := len(a.text)
	a.number(0)
	text, err := write(a.text)
	if err != nil {
		return err
	}
	a.text = text
	binary.BigEndian.PutUint32(a.text[begin:], uint32(len(a.text)-begin-4))
	return nil
}

// uuids is an array of ids.
func uuids[ID ~string](ids []ID) ([]byte, error) {
	a := newArray(oid.T_uuid, len(ids), 16)
	for _, id := range ids {
		if err := a.addUUID(string(id)); err != nil {
			return nil, err
		}
	}
	return a.text, nil
}

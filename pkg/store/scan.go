package store

import "fmt"

// database/sql reads a number into an int by writing it down and parsing it again. These take it as the driver gives it.

// integer takes an int of PostgreSQL's that is never NULL.
type integer int

// Scan implements sql.Scanner.
func (n *integer) Scan(src any) error {
	read, ok := src.(int64)
	if !ok {
		return fmt.Errorf("read an integer: %T", src)
	}
	*n = integer(read)
	return nil
}

// nullFloat takes a float8 that may be NULL.
type nullFloat struct {
	Float64 float64
	Valid   bool
}

// Scan implements sql.Scanner.
func (f *nullFloat) Scan(src any) error {
	if src == nil {
		*f = nullFloat{}
		return nil
	}
	read, ok := src.(float64)
	if !ok {
		return fmt.Errorf("read a float: %T", src)
	}
	*f = nullFloat{Float64: read, Valid: true}
	return nil
}

// Package migrations holds the database schema as goose migrations, for the plain goose CLI and for programs that embed
// them. It never runs anything by itself.
package migrations

import "embed"

// Files are the migrations, named NNNN_name.sql.
//
//go:embed *.sql
var Files embed.FS

// Required is the schema version that this build's services need. They are not ready on an older one.
const Required = 16

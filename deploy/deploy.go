// Package deploy holds what belongs to an installation and not to a program: for now, the roles of the database.
package deploy

import _ "embed" // for the file below

// Roles is roles.sql. It may be run any number of times.
//
//go:embed roles.sql
var Roles string

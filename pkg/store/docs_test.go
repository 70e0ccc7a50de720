package store_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// TestTheStatementsOfTheDocuments can be made: the questions by the role for people, the changes by whoever owns the schema.
func TestTheStatementsOfTheDocuments(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	all := pools(t, db)
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer(" TO X", " TO billonce_worker", " TO that_user", " TO billonce_read", "PASSWORD …", "PASSWORD 'x'")
	made := 0
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("`((?:SELECT|GRANT|ALTER ROLE) [^`]*)`").FindAllStringSubmatch(string(content), -1) {
			statement := names.Replace(strings.Join(strings.Fields(match[1]), " "))
			if strings.Contains(statement, "…") {
				continue // an idea, no statement
			}
			made++
			as := db.SQL
			if strings.HasPrefix(statement, "SELECT") {
				as = all[store.RoleRead]
			}
			tx, err := as.Beginx()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(statement); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), statement, err)
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if made < 5 {
		t.Errorf("only %d statements are found", made)
	}
}

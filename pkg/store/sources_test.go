package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sources are the package's files, without tests, by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = string(text)
	}
	if len(found) < 10 {
		t.Fatalf("only %d files found", len(found))
	}
	return found
}

// TestNoWriteIsLeftToThePool reads the package's source: a statement that changes something never goes through the pool itself,
// which repeats it when the connection breaks. The one exception is a notification: one that is sent twice wakes twice.
func TestNoWriteIsLeftToThePool(t *testing.T) {
	t.Parallel()
	found := poolWrites(t, sources(t))
	if len(found) != 1 || found[0] != "wake.go:ExecContext" {
		t.Errorf("%v, want the notification alone", found)
	}
	bad := map[string]string{"bad.go": `package store
		const byName = "WITH gone AS (DELETE FROM workers RETURNING id) SELECT count(*) FROM gone"
		func (s *Store) a() { s.db.sqlx.ExecContext(ctx, "SELECT 1") }
		func (s *Store) b() { s.db.sqlx.GetContext(ctx, &n, "UPDATE workers SET lease = lease RETURNING 1") }
		func (s *Store) c() { query := "INSERT INTO workers" + more; db.sqlx.SelectContext(ctx, &rows, query) }
		func (s *Store) d() { pool := s.db.sqlx; pool.QueryxContext(ctx, byName) }
		func (s *Store) e() { s.db.Pool().QueryRowContext(ctx, byName) }
		func (s *Store) f() { s.db.sqlx.GetContext(ctx, &n, "SELECT 1 FROM workers WHERE updated_at > $1") }
		func (s *Store) g() { conn, _ := s.db.sqlx.Connx(ctx); conn.ExecContext(ctx, byName) }`}
	want := []string{"bad.go:ExecContext", "bad.go:GetContext", "bad.go:SelectContext", "bad.go:QueryxContext", "bad.go:QueryRowContext"}
	if got := poolWrites(t, bad); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v: the test above could not fail", got, want)
	}
}

var (
	changes = regexp.MustCompile(`\b(INSERT INTO|UPDATE [a-z]|DELETE FROM)`)
	runs    = regexp.MustCompile(`^(Named)?(Exec|MustExec|Get|Select|Query|Queryx|QueryRow|QueryRowx|Prepare|Preparex)(Context)?$`)
)

// poolWrites lists the calls that run a statement on the pool and may change something: every Exec, and every read whose statement
// does.
func poolWrites(t *testing.T, files map[string]string) (found []string) {
	t.Helper()
	parsed, named := map[string]*ast.File{}, map[string]bool{}
	for name, text := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = file
		for _, declared := range file.Decls {
			group, ok := declared.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range group.Specs {
				if values, ok := spec.(*ast.ValueSpec); ok && mentions(values, nil) {
					for _, ident := range values.Names {
						named[ident.Name] = true
					}
				}
			}
		}
	}
	for name, file := range parsed {
		for _, declared := range file.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			pools := poolNames(function.Body)
			ast.Inspect(function.Body, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if ok && runs.MatchString(method.Sel.Name) && isPool(method.X, pools) &&
					(strings.Contains(method.Sel.Name, "Exec") || mayChange(call, function, named)) {
					found = append(found, name+":"+method.Sel.Name)
				}
				return true
			})
		}
	}
	return found
}

// mayChange judges a call by the statement in it, and one whose statement stands elsewhere by the whole function.
func mayChange(call *ast.CallExpr, function *ast.FuncDecl, named map[string]bool) bool {
	written := false
	for _, arg := range call.Args {
		ast.Inspect(arg, func(node ast.Node) bool {
			literal, ok := node.(*ast.BasicLit)
			written = written || ok && literal.Kind == token.STRING
			return true
		})
	}
	if written {
		return mentions(call, named)
	}
	return mentions(function.Body, named)
}

// mentions reports whether a literal in the node changes something, or a name stands for one that does.
func mentions(node ast.Node, named map[string]bool) (found bool) {
	ast.Inspect(node, func(node ast.Node) bool {
		switch one := node.(type) {
		case *ast.BasicLit:
			found = found || one.Kind == token.STRING && changes.MatchString(one.Value)
		case *ast.Ident:
			found = found || named[one.Name]
		}
		return !found
	})
	return found
}

// poolNames are the variables of a function that hold the pool itself.
func poolNames(body *ast.BlockStmt) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(body, func(node ast.Node) bool {
		assigned, ok := node.(*ast.AssignStmt)
		if ok && len(assigned.Lhs) == 1 && len(assigned.Rhs) == 1 && isPool(assigned.Rhs[0], nil) {
			if ident, ok := assigned.Lhs[0].(*ast.Ident); ok {
				names[ident.Name] = true
			}
		}
		return true
	})
	return names
}

// isPool reports whether an expression is the pool: db.sqlx, db.sqlx.DB, db.Pool(), or a variable that holds it.
func isPool(expr ast.Expr, names map[string]bool) bool {
	switch one := expr.(type) {
	case *ast.Ident:
		return names[one.Name]
	case *ast.SelectorExpr:
		return one.Sel.Name == "sqlx" || one.Sel.Name == "DB" && isPool(one.X, names)
	case *ast.CallExpr:
		method, ok := one.Fun.(*ast.SelectorExpr)
		return ok && method.Sel.Name == "Pool"
	}
	return false
}

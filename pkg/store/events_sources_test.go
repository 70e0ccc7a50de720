package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	assigns   = regexp.MustCompile(`(SET|,)\s+(status|scheduled_for) =`)
	schedules = regexp.MustCompile(`INSERT INTO scheduled_tasks\b|SELECT schedule_after_decline\(`)
)

// changesStatus reports whether a statement schedules tasks, or sets their status or the time for which they were asked for.
func changesStatus(statement string) bool {
	for _, update := range strings.Split(statement, "UPDATE scheduled_tasks")[1:] {
		assigned, _, _ := strings.Cut(update, "WHERE")
		if assigns.MatchString(assigned) {
			return true
		}
	}
	return schedules.MatchString(statement)
}

// TestEveryChangeOfAStatusIsWrittenDown reads the package's source, with its constants put together: a statement that changes the status
// of tasks, their time as somebody asked for it, or schedules them has the part that tells whoever watches.
func TestEveryChangeOfAStatusIsWrittenDown(t *testing.T) {
	t.Parallel()
	found, silent := silentChanges(t, sources(t))
	if len(found) < 12 {
		t.Errorf("only %d statements were found to change a status: %q", len(found), found)
	}
	if want := []string{"dunning.go: SELECT schedule_after_decline($1, $2, $3, $4)"}; !slices.Equal(silent, want) { // followed by tellTask
		t.Errorf("these change tasks and tell nobody:\n%s", strings.Join(silent, "\n"))
	}
	bad := map[string]string{"bad.go": "package store\nconst set = `SET status = 'failed', `\n" +
		"var a = `UPDATE scheduled_tasks AS t ` + set + `updated_at = now() WHERE id = $1`\n" +
		"var b = `UPDATE scheduled_tasks SET run_at = now() WHERE status = 'pending'`\n" +
		"const c = `WITH made AS (INSERT INTO scheduled_tasks (id) VALUES ($1)) INSERT INTO task_events (ids) SELECT 1`\n" +
		"var d = f(`INSERT INTO scheduled_tasks (id) VALUES ($1)`)\n"}
	if _, silent := silentChanges(t, bad); len(silent) != 2 {
		t.Errorf("found %q: the test above could not fail", silent)
	}
}

// silentChanges returns all statements that change a status, and those of them that write no events.
func silentChanges(t *testing.T, files map[string]string) (found, silent []string) {
	t.Helper()
	parsed, constants := map[string]*ast.File{}, map[string]ast.Expr{}
	for name, text := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = file
		for _, declared := range file.Decls {
			group, ok := declared.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				values, _ := spec.(*ast.ValueSpec)
				for i, value := range values.Values {
					constants[values.Names[i].Name] = value
				}
			}
		}
	}
	parts := partsOf(parsed)
	for name, file := range parsed {
		ast.Inspect(file, func(node ast.Node) bool {
			if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Names) == 1 && parts[spec.Names[0].Name] {
				return false // looked at where it is put together
			}
			expression, ok := node.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := textOf(expression, constants)
			if !ok {
				return true
			}
			if changesStatus(text) {
				line := name + ": " + strings.Join(strings.Fields(text), " ")
				found = append(found, line)
				if !strings.Contains(text, "INSERT INTO task_events") {
					silent = append(silent, line)
				}
			}
			return false // its parts are parts
		})
	}
	return found, silent
}

// partsOf are the names that are added to something.
func partsOf(files map[string]*ast.File) map[string]bool {
	parts := map[string]bool{}
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			if sum, ok := node.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
				for _, side := range []ast.Expr{sum.X, sum.Y} {
					if name, ok := side.(*ast.Ident); ok {
						parts[name.Name] = true
					}
				}
			}
			return true
		})
	}
	return parts
}

// textOf puts together what is text and known before the program runs; what is not known in the middle of it is left out.
func textOf(expression ast.Expr, constants map[string]ast.Expr) (string, bool) {
	switch one := expression.(type) {
	case *ast.BasicLit:
		if one.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(one.Value)
		return text, err == nil
	case *ast.ParenExpr:
		return textOf(one.X, constants)
	case *ast.Ident:
		value, ok := constants[one.Name]
		if !ok {
			return "", false
		}
		return textOf(value, constants)
	case *ast.BinaryExpr:
		left, isLeft := textOf(one.X, constants)
		right, isRight := textOf(one.Y, constants)
		return left + right, one.Op == token.ADD && (isLeft || isRight)
	}
	return "", false
}

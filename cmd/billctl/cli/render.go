package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// table prints rows in aligned columns; the first one is the heading.
func (p *program) table(rows [][]string) {
	var aligned strings.Builder
	writer := tabwriter.NewWriter(&aligned, 0, 8, columnGap, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = plain(cell)
		}
		_, _ = fmt.Fprintln(writer, strings.Join(row, "\t")) // empty cells too: a column ends at the first row without it
	}
	_ = writer.Flush() // a Builder takes everything
	for line := range strings.Lines(aligned.String()) {
		p.printf("%s\n", strings.TrimRight(line, " \n"))
	}
}

// tableWidth is what tables that can be narrowed keep to.
const tableWidth = 120

// narrowing says how a column gives way.
type narrowing struct {
	column int
	least  int  // characters that stay
	inside bool // the end stays too, as ids are told apart by it
}

// fit shortens the cells of columns, one column after the other, until the table is no wider than [tableWidth].
func fit(rows [][]string, by []narrowing) [][]string {
	for _, one := range by {
		over := widthOf(rows) - tableWidth
		if over <= 0 {
			break
		}
		most := max(one.least, columnWidth(rows, one.column)-over)
		for _, row := range rows[1:] { // the heading stays
			row[one.column] = shorten(row[one.column], most, one.inside)
		}
	}
	return rows
}

// widthOf is how wide a table becomes: what ends a line is not filled up, but some line may reach as far.
func widthOf(rows [][]string) int {
	if len(rows) == 0 {
		return 0
	}
	width := -columnGap
	for i := range rows[0] {
		width += columnWidth(rows, i) + columnGap
	}
	return width
}

func columnWidth(rows [][]string, column int) int {
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[column]))
	}
	return width
}

// shorten leaves most characters of a text, and says that there were more.
func shorten(text string, most int, inside bool) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	kept := most - 1
	tail := 0
	if inside {
		tail = kept / 2
	}
	return string(runes[:kept-tail]) + "…" + string(runes[len(runes)-tail:])
}

// columnGap is the space between two columns.
const columnGap = 2

// plain drops what could move a terminal's cursor or change its colours: the text comes over the network.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}

// printRaw prints an answer, indented.
func (p *program) printRaw(answer []byte) error { return p.printJSON(json.RawMessage(answer)) }

// printJSON prints JSON indented, as the server wrote it.
func (p *program) printJSON(value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	p.printf("%s\n", text)
	return nil
}

// when prints a time both ways: far enough from now for a person, exactly for a search.
func (p *program) when(t time.Time) string {
	return fmt.Sprintf("%s (%s)", relative(t.Sub(p.Now())), t.UTC().Format("2006-01-02 15:04:05Z"))
}

func (p *program) whenSet(t *time.Time) string {
	if t == nil {
		return "–"
	}
	return p.when(*t)
}

// relative says how far away a moment is, in its two largest units.
func relative(distance time.Duration) string {
	if distance > -time.Second && distance < time.Second {
		return "now"
	}
	if distance < 0 {
		return span(-distance) + " ago"
	}
	return "in " + span(distance)
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 10*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

// outcome says in a few words how a task stands: what it made, or what Stripe last said.
func outcome(task client.Task) string {
	switch {
	case task.Result != nil:
		return strings.TrimSpace(task.Result.ID + " " + task.Result.Status)
	case task.LastError != nil:
		return stripeError(*task.LastError)
	default:
		return ""
	}
}

func stripeError(e billing.StripeError) string {
	var parts []string
	for _, part := range []string{e.Code, e.DeclineCode} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 && e.Type != "" {
		parts = append(parts, e.Type)
	}
	if len(parts) == 0 && e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.HTTPStatus != 0 {
		parts = append([]string{fmt.Sprint(e.HTTPStatus)}, parts...)
	}
	return strings.Join(parts, " ")
}

func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

func dereference[T ~string](text *T) string {
	if text == nil {
		return ""
	}
	return string(*text)
}

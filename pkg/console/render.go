package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

//go:embed templates/*.html
var templateFiles embed.FS

// layout is what every page is made of; the templates call it by its fields.
type layout struct {
	Title    string
	Section  string
	Nav      []navItem
	Finds    bool // the visitor may look for tasks
	SignedIn bool
	Me       client.Me
	Notice   string
	Version  string
	Now      time.Time
	Self     string // this page's path and query
	Live     bool   // the part that changes is asked for again and again
	Events   bool
	Body     any
}

type navItem struct {
	Section, Path, Name string
	Current             bool
}

// parsePages makes one template of each page's file and the layout.
func (c *Console) parsePages() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(c.functions()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic("console: " + err.Error()) // they are embedded
	}
	pages := map[string]*template.Template{}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		own := template.Must(shared.Clone())
		pages[name] = template.Must(own.ParseFS(templateFiles, "templates/"+entry.Name()))
	}
	return pages
}

// show answers with a page.
func (c *Console) show(v *visit, status int, name, title string, body any) {
	c.write(v, status, name, c.layoutOf(v, title, body))
}

// showLive answers with a page that has a part that changes, or with that part alone if a script asked for it. The part says whether it
// still changes: what has ended is not asked for again.
func (c *Console) showLive(v *visit, status int, name, title string, body any, live bool) {
	whole := c.layoutOf(v, title, body)
	whole.Live, whole.Events = live, live && c.deps.Events
	if !v.live() {
		c.write(v, status, name, whole)
		return
	}
	whole.Me, whole.Notice = client.Me{}, "" // it may be shown to others whose keys allow the same
	made, ok := c.render(v, name, "region", whole)
	if !ok {
		return
	}
	if v.share != nil && status == http.StatusOK {
		v.share(made)
	}
	answer(v, status, made)
}

func (c *Console) layoutOf(v *visit, title string, body any) layout {
	return layout{
		Title: title, Section: v.section, Nav: nav(v), Finds: v.may(billing.ScopeTasksRead), SignedIn: v.signedIn(), Me: v.me, Notice: noticeOf(v.r.URL.Query()),
		Version: c.deps.Version, Now: time.Now().UTC(), Self: selfOf(v.r), Body: body,
	}
}

// write answers with a page.
func (c *Console) write(v *visit, status int, name string, whole layout) {
	if made, ok := c.render(v, name, "layout", whole); ok {
		answer(v, status, made)
	}
}

// render makes a page, or a part of one. When that goes wrong it answers so.
func (c *Console) render(v *visit, name, part string, whole layout) (made []byte, ok bool) {
	var out bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&out, part, whole); err != nil {
		c.log.ErrorContext(v.r.Context(), "a page could not be made", slog.String("page", name), slog.Any("error", err))
		http.Error(v.w, "This page could not be made. The log says why.", http.StatusInternalServerError)
		return nil, false
	}
	return out.Bytes(), true
}

func answer(v *visit, status int, body []byte) {
	header := v.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(body) // whoever has gone needs none
	}
}

// selfOf is the page's address without what was told once.
func selfOf(r *http.Request) string {
	query := r.URL.Query()
	for _, once := range onceOnly {
		query.Del(once)
	}
	if len(query) == 0 {
		return r.URL.EscapedPath()
	}
	return r.URL.EscapedPath() + "?" + query.Encode()
}

// nav are the pages that the visitor may see.
func nav(v *visit) []navItem {
	if !v.signedIn() {
		return nil
	}
	items := []navItem{}
	add := func(section, path, name string, allowed bool) {
		if allowed {
			items = append(items, navItem{section, path, name, v.section == section})
		}
	}
	read, admin := v.may(billing.ScopeTasksRead), v.may(billing.ScopeAdmin) && v.seesAll()
	add("overview", "/", "Overview", read)
	add("tasks", "/tasks", "Tasks", read)
	add("attention", "/attention", "Needs attention", read)
	add("merchants", "/merchants", "Merchants", v.may(billing.ScopeMerchantsRead))
	add("workers", "/workers", "Workers", read && v.seesAll())
	add("api-keys", "/api-keys", "API keys", admin)
	add("encryption", "/encryption", "Encryption", admin)
	add("audit", "/audit", "Audit log", admin)
	return items
}

// functions are what the templates may call.
func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"asset": c.assets.url, "at": at, "ago": func(t any) string { return ago(t, time.Now()) }, "span": span, "age": age,
		"number": number, "capped": capped, "words": words, "last": last, "text": text, "add": func(a, b int) int { return a + b },
		"dict": dict, "stripeLink": stripeLink, "requestLink": requestLink, "yes": yes, "detail": detailOf,
	}
}

// dict makes the arguments of a part out of names and values by turns.
func dict(pairs ...any) (map[string]any, error) {
	made := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: a name is of type %T", pairs[i])
		}
		made[name] = pairs[i+1]
	}
	return made, nil
}

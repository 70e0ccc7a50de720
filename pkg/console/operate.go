package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// listWorkers shows the workers, those alive first.
func (c *Console) listWorkers(v *visit) error {
	v.section = "workers"
	page, err := c.api.ListWorkers(v.ctx)
	if err != nil {
		return err
	}
	c.showLive(v, http.StatusOK, "workers", "Workers", page, true)
	return nil
}

type keysView struct {
	Page          client.APIKeyPage
	Older, Newest string
}

// listKeys shows the keys of the API by their beginnings. None can be made here: a key is shown once, to who asked for it.
func (c *Console) listKeys(v *visit) error {
	v.section = "api-keys"
	cursor := v.r.URL.Query().Get("cursor")
	var view keysView
	query := url.Values{"limit": {strconv.Itoa(rowsPerPage)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	if err := c.api.Get(v.ctx, "/v1/api_keys", query, &view.Page); err != nil {
		return err
	}
	view.Older, view.Newest = pagesOf("/api-keys", url.Values{}, cursor, view.Page.NextCursor)
	c.show(v, http.StatusOK, "api-keys", "API keys", view)
	return nil
}

type encryptionView struct {
	client.Encryption
	Done    int // tokens that are sealed as they should be
	Percent int
}

// showEncryption shows which keys have sealed the stored tokens. Keys are named by ids.
func (c *Console) showEncryption(v *visit) error {
	v.section = "encryption"
	found, err := c.api.GetEncryption(v.ctx)
	if err != nil {
		return err
	}
	view := encryptionView{Encryption: found, Done: found.Rotation.Total - found.Rotation.Left, Percent: 100}
	if found.Rotation.Total > 0 {
		view.Percent = 100 * view.Done / found.Rotation.Total
	}
	c.show(v, http.StatusOK, "encryption", "Encryption", view)
	return nil
}

type auditView struct {
	Object, Actor, Action, From, To string
	Actions                         []billing.Action
	Page                            client.AuditPage
	Older, Newest                   string
	Troubles                        []string
}

// FromField and ToField are for the form.
func (a auditView) FromField() string { return inForm(a.From) }

// ToField is as FromField.
func (a auditView) ToField() string { return inForm(a.To) }

// listAudit shows who changed what, the newest first.
func (c *Console) listAudit(v *visit) error {
	v.section = "audit"
	query := v.r.URL.Query()
	get := func(name string) string { return strings.TrimSpace(query.Get(name)) }
	view := auditView{
		Object: get("object"), Actor: get("actor"), Action: get("action"), From: asMoment(get("from")), To: asMoment(get("to")),
		Actions: billing.Actions(),
	}
	cursor := query.Get("cursor")
	narrowed := url.Values{}
	for name, value := range map[string]string{
		"object": view.Object, "actor": view.Actor, "action": view.Action, "from": view.From, "to": view.To,
	} {
		if value != "" {
			narrowed.Set(name, value)
		}
	}
	wanted := url.Values{"limit": {strconv.Itoa(rowsPerPage)}}
	for name, values := range narrowed {
		wanted[name] = values
	}
	if cursor != "" {
		wanted.Set("cursor", cursor)
	}
	status, troubles, err := inPlace(c.api.Get(v.ctx, "/v1/audit", wanted, &view.Page))
	if err != nil {
		return err
	}
	view.Troubles = troubles
	view.Older, view.Newest = pagesOf("/audit", narrowed, cursor, view.Page.NextCursor)
	c.show(v, status, "audit", "Audit log", view)
	return nil
}

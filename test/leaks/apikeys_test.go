package leaks_test

import "strings"

// apiKeys makes, uses, rotates and revokes API keys. They are drawn by the api: the answer that shows one is looked at here and is
// the only one that the search does not see.
func (w *world) apiKeys() {
	w.t.Helper()
	unseen := *w.api
	unseen.book = newBook()
	learn := func(name string, answer object) string {
		w.t.Helper()
		key, _ := answer["key"].(string)
		if len(key) < 40 {
			w.t.Fatalf("%s is not shown", name)
		}
		w.c.add(name, "", key, key[12:34], key[34:]) // the first characters are shown, to tell keys apart
		return w.c.text(name)
	}
	made := unseen.want(201, "POST", "/v1/api_keys", object{"name": "shop", "scopes": []string{"tasks:read", "tasks:write"}, "merchant_id": w.merchants["main"]})
	first := w.caller(w.api.base, learn("api key", made))
	turned := unseen.want(201, "POST", "/v1/api_keys/"+idOf(made)+"/rotate", nil)
	second := w.caller(w.api.base, learn("rotated api key", turned))
	for _, one := range []*caller{first, second} {
		one.want(200, "GET", "/v1/tasks", nil)
		one.want(404, "GET", "/v1/merchants/"+w.merchants["live"]+"/"+one.key, nil)
		one.want(403, "GET", "/v1/audit", nil)
		one.want(403, "GET", "/v1/workers", nil)
		w.lookAround(one)
		one.want(422, "GET", "/v1/tasks?limit="+one.key, nil)
	}
	w.api.want(200, "POST", "/v1/api_keys/"+idOf(made)+"/revoke", nil)
	first.want(401, "GET", "/v1/tasks", nil)
	for _, spoiled := range []string{second.key[:40], second.key + "x", strings.ToUpper(second.key)} {
		w.caller(w.api.base, spoiled).want(401, "GET", "/v1/tasks", nil)
	}
	w.api.want(200, "GET", "/v1/api_keys", nil)
	w.api.want(200, "GET", "/v1/audit", nil)
	w.finish([]command{
		{"billctl apikeys list", 0, w.spawn("billctl", map[string]string{"BILLONCE_API_KEY": w.api.key}, "apikeys", "list", "--url", w.through)},
		{"billctl tasks list", 0, w.spawn("billctl", map[string]string{"BILLONCE_API_KEY": second.key}, "tasks", "list", "--url", w.through)},
		{"billctl apikeys show", 1, w.spawn("billctl", map[string]string{"BILLONCE_API_KEY": second.key}, "apikeys", "show", second.key, "--url", w.through)},
	}, byLine)
}

package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets/console.css assets/console.js assets/htmx.min.js assets/icon.svg
var assetFiles embed.FS

var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// assets are what pages are made of, by the name under which they are served, which says what is in them.
type assets struct {
	names  map[string]string // console.css → console.0123456789abcdef.css
	bodies map[string][]byte
}

func loadAssets() assets {
	all := assets{names: map[string]string{}, bodies: map[string][]byte{}}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic("console: " + err.Error()) // they are embedded
	}
	for _, entry := range entries {
		body, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic("console: " + err.Error())
		}
		sum := sha256.Sum256(body)
		end := path.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), end) + "." + hex.EncodeToString(sum[:8]) + end
		all.names[entry.Name()], all.bodies[name] = name, body
	}
	return all
}

// url is where an asset is served.
func (a assets) url(name string) string {
	served, ok := a.names[name]
	if !ok {
		panic("console: no asset is called " + name)
	}
	return "/assets/" + served
}

// asset serves what a page is made of, to everybody: it says nothing of the installation but its version.
func (c *Console) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	body, ok := c.assets.bodies[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Content-Type", mediaTypes[path.Ext(name)])
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // whoever has gone needs none
	}
}

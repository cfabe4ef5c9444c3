package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

//go:embed templates
var templateFiles embed.FS

//go:embed assets/*.js assets/*.css assets/*.svg
var assetFiles embed.FS

// view is what every page is made of.
type view struct {
	Title   string
	Section string // of the navigation
	Account string // of the navigation within an account
	Tab     string // likewise
	Content any
}

// readPages reads every page with the layout and the fragments that pages share.
func (c *Console) readPages() (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(c.functions()).ParseFS(templateFiles, "templates/layout.html", "templates/fragments.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{"fragments": shared}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "fragments" {
			continue
		}
		one, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		if pages[name], err = one.ParseFS(templateFiles, file); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// functions are what templates may call.
func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"asset": c.assets.path, "category": c.categories.name, "categories": func() []category { return c.categories.list },
		"money": formatMoney, "label": label, "tone": tone, "count": count[uint64], "bytes": formatBytes,
		"day": formatDay, "moment": formatMoment, "clock": formatClock, "iso": formatISO, "zone": c.zone, "controls": c.controlsWords,
		"ago": func(d *durationpb.Duration) string { return durationWords(d.AsDuration()) },
	}
}

// write writes a page.
func (c *Console) write(w http.ResponseWriter, r *http.Request, code int, name string, v view) {
	var text bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&text, "page", v); err != nil {
		c.options.Logger.ErrorContext(r.Context(), "template failed", slog.String("page", name), slog.String("error", err.Error()))
		http.Error(w, "The page could not be made. The console's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(text.Bytes()) // an error means that the reader has gone
}

// show writes a page that is as it should be.
func (c *Console) show(w http.ResponseWriter, r *http.Request, name string, v view) error {
	c.write(w, r, http.StatusOK, name, v)
	return nil
}

// fragment makes one fragment of pages.
func (c *Console) fragment(name string, content any) (string, error) {
	var text strings.Builder
	err := c.pages["fragments"].ExecuteTemplate(&text, name, content)
	return text.String(), err
}

// showFragment writes one fragment, for a page that is there already.
func (c *Console) showFragment(w http.ResponseWriter, name string, content any) error {
	text, err := c.fragment(name, content)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(text))
	return nil
}

// byScript says whether htmx asks, for a part of a page that is there already.
func byScript(r *http.Request) bool { return r.Header.Get("HX-Request") != "" }

// assets are the files that pages need. Their address has a digest of them all, so browsers may keep them.
type assets struct {
	version string
	files   map[string][]byte
}

func readAssets() (*assets, error) {
	all := &assets{files: map[string][]byte{}}
	digest := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := assetFiles.ReadFile(file)
		all.files[path.Base(file)] = text
		_, _ = digest.Write(text)
		return err
	})
	all.version = hex.EncodeToString(digest.Sum(nil)[:6])
	return all, err
}

// path is the address of an asset. A name that is none is an error, so a template that names one fails its test.
func (a *assets) path(name string) (string, error) {
	if _, known := a.files[name]; !known {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return "/assets/" + a.version + "/" + name, nil
}

var assetTypes = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	text, known := a.files[name]
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

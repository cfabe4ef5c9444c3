package console

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// policy lets a page load from the console itself and from nowhere else: no script or style within a page, no frame around it, no form to another place.
// Pico's arrows and ticks are images in data URLs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard keeps other web sites out. A browser that was led here by another site cannot write (its Sec-Fetch-Site or Origin tells), cannot read by pointing a
// name of its own at this address (the Host must be one of ours), and cannot frame a page. There is no cookie that could be stolen or sent along.
func (c *Console) guard(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.showFailure(w, r, &pageError{code: http.StatusForbidden, title: "Not from here", sentence: "This form was sent by another web site, so nothing was done."})
	}))
	next = http.MaxBytesHandler(protection.Handler(next), bodyBound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if !c.hostAllowed(r.Host) {
			c.showFailure(w, r, &pageError{code: http.StatusMisdirectedRequest, title: "Not by this name",
				sentence: "The console answers to localhost, to bare addresses, and to the names that it was started with (--console-hosts)."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostAllowed says whether a browser may ask by this Host. An IP address cannot be pointed elsewhere by anybody; a name can.
func (c *Console) hostAllowed(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return host == "localhost" || net.ParseIP(host) != nil || slices.Contains(c.options.Hosts, host)
}

package console

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
)

// traced makes a span of each request for a page, with which the page's calls go on. A page that is kept up to date is none.
func (c *Console) traced(pattern string, show http.Handler) http.Handler {
	if c.options.Traces == nil {
		return show
	}
	return otelhttp.NewHandler(show, pattern, otelhttp.WithTracerProvider(c.options.Traces), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(pattern string, _ *http.Request) string { return pattern }))
}

package telemetry

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TestTracesAreOnWhereTheEnvironmentSaysSo sets the standard variables.
func TestTracesAreOnWhereTheEnvironmentSaysSo(t *testing.T) {
	const endpoint = "http://127.0.0.1:4317"
	for name, row := range map[string]struct {
		environment map[string]string
		on, refused bool
	}{
		"nothing is said":           {nil, false, false},
		"an endpoint":               {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, true, false},
		"an endpoint for traces":    {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, true, false},
		"the exporter":              {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, false},
		"no exporter":               {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, false, false},
		"all of it is off":          {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, false, false},
		"an exporter we have not":   {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, true},
		"a protocol we do not have": {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
				"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
				t.Setenv(variable, row.environment[variable])
			}
			traces, err := StartTraces(t.Context(), "cardlog", slog.New(slog.DiscardHandler))
			t.Cleanup(traces.Close)
			if on := traces != nil; on != row.on || (err != nil) != row.refused {
				t.Errorf("traces are %v, %v", on, err)
			}
			if (traces.Tracer() != nil) != row.on || (traces.Provider() != nil) != row.on {
				t.Errorf("the tracer is %v, the provider %v", traces.Tracer(), traces.Provider())
			}
		})
	}
}

func TestALineNamesTheTraceThatItBelongsTo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		sampler sdktrace.Sampler
		named   bool
	}{"recorded": {sdktrace.AlwaysSample(), true}, "not sampled": {sdktrace.NeverSample(), false}} {
		ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSampler(row.sampler)).Tracer("test").Start(context.Background(), "call")
		var written bytes.Buffer
		logger, err := newLogger(&written, slog.LevelInfo, "json")
		if err != nil {
			t.Fatal(err)
		}
		logger.With(slog.String("stream", "LEDGER_00")).WarnContext(ctx, "call failed")
		if named := strings.Contains(written.String(), `"trace_id":"`+span.SpanContext().TraceID().String()+`"`); named != row.named || strings.Contains(written.String(), "trace_id") != row.named {
			t.Errorf("%s: %s", name, written.String())
		}
	}
}

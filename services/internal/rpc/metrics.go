package rpc

import (
	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// measured are the server options that count calls, their codes and how long they took, for Prometheus.
func measured(to prometheus.Registerer) ([]grpc.ServerOption, error) {
	metrics := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(telemetry.LatencyBuckets(telemetry.Coarse))))
	if err := to.Register(metrics); err != nil {
		return nil, err
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(metrics.UnaryServerInterceptor()), grpc.ChainStreamInterceptor(metrics.StreamServerInterceptor())}, nil
}

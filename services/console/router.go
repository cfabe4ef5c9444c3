package console

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
)

// Server is a process of a cardlog, with a connection to it.
type Server struct {
	Address    string
	Connection grpc.ClientConnInterface
}

// router takes each call to the server that has its service, so that the console need not know whether all run in one process.
type router struct {
	servers []Server

	mu    sync.Mutex
	homes map[string]Server // by service, such as accounts
}

// actor is what the console calls itself in the log.
const actor = "console"

// Invoke is for package grpc.
func (r *router) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	home, err := r.home(ctx, method)
	if err != nil {
		return err
	}
	return home.Connection.Invoke(metadata.AppendToOutgoingContext(ctx, "cardlog-actor", actor), method, request, response, options...)
}

// NewStream is for package grpc.
func (r *router) NewStream(ctx context.Context, description *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	home, err := r.home(ctx, method)
	if err != nil {
		return nil, err
	}
	return home.Connection.NewStream(metadata.AppendToOutgoingContext(ctx, "cardlog-actor", actor), description, method, options...)
}

// home returns the server that has the service of a method such as /cardlog.accounts.v1.AccountsService/GetAccount.
func (r *router) home(ctx context.Context, method string) (Server, error) {
	if len(r.servers) == 1 {
		return r.servers[0], nil
	}
	service := strings.SplitN(method+"..", ".", 3)[1]
	r.mu.Lock()
	home, known := r.homes[service]
	r.mu.Unlock()
	if known {
		return home, nil
	}
	homes, silent := r.survey(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.homes = homes
	if home, known = homes[service]; known {
		return home, nil
	}
	if len(silent) > 0 {
		return Server{}, status.Error(codes.Unavailable, fmt.Sprintf("%s does not answer, and no other server has %s", strings.Join(silent, ", "), service))
	}
	return Server{}, status.Error(codes.Unavailable, fmt.Sprintf("none of the servers given has %s", service))
}

// survey asks every server which services it has. It also returns the addresses that do not answer.
func (r *router) survey(ctx context.Context) (homes map[string]Server, silent []string) {
	homes = map[string]Server{}
	for _, answer := range r.ask(ctx) {
		if answer.err != nil {
			silent = append(silent, answer.server.Address)
			continue
		}
		for _, service := range answer.status.GetServices() {
			homes[service.GetService()] = answer.server
		}
	}
	return homes, silent
}

// answer is what one server says of itself.
type answer struct {
	server Server
	status *adminv1.GetStatusResponse
	err    error
}

// ask asks every server for its status, all at the same time.
func (r *router) ask(ctx context.Context) []answer {
	answers := make([]answer, len(r.servers))
	var asking sync.WaitGroup
	for i, server := range r.servers {
		asking.Go(func() {
			status, err := adminv1.NewOperationsServiceClient(server.Connection).GetStatus(ctx, &adminv1.GetStatusRequest{})
			answers[i] = answer{server: server, status: status, err: err}
		})
	}
	asking.Wait()
	return answers
}

// address is where a method's service is, for people: the first server where it is not known.
func (r *router) address(ctx context.Context, method string) string {
	home, err := r.home(ctx, method)
	if err != nil {
		return r.servers[0].Address
	}
	return home.Address
}

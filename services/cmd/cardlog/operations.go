package main

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// operations is the gRPC service for operators. It tells of the process that it runs in.
type operations struct {
	adminv1.UnimplementedOperationsServiceServer
	process *process
}

func registerOperations(p *process) {
	adminv1.RegisterOperationsServiceServer(p.server, &operations{process: p})
}

// view is local state that can be made again from the log.
type view struct {
	name    string
	rebuild func(ctx context.Context) (events uint64, err error)
}

// views are those of the services in this process.
func (p *process) views() (views []view) {
	if p.transactions != nil {
		views = append(views, view{"balances", p.transactions.Rebuild}, view{"cards", p.transactions.RebuildCards})
	}
	if p.payments != nil {
		views = append(views, view{"owed", p.payments.RebuildOwed})
	}
	if p.feed != nil {
		views = append(views, view{"feed", p.feed.Rebuild})
	}
	return views
}

// followers are how far the services of this process have followed.
func (p *process) followers(ctx context.Context) (all []follower.Status) {
	if p.payments != nil {
		all = append(all, p.payments.Followers(ctx)...)
	}
	if p.transactions != nil {
		all = append(all, p.transactions.Followers(ctx)...)
	}
	if p.feed != nil {
		all = append(all, p.feed.Followers(ctx)...)
	}
	return all
}

// written is a stream that a service of this process writes.
type written struct {
	service   serviceName
	stream    *eventlog.Stream
	residence *engine.Residence // of the accounts; nil where the stream has no state
}

func (p *process) streams() (streams []written) {
	if p.accounts != nil {
		streams = append(streams, written{accountsName, p.accounts.Stream(), new(p.accounts.Residence())})
	}
	if p.payments != nil {
		streams = append(streams, written{paymentsName, p.payments.Stream(), new(p.payments.Residence())})
	}
	if p.transactions != nil {
		for shard, stream := range p.transactions.Streams() {
			streams = append(streams, written{transactionsName, stream, new(p.transactions.Residence(shard))})
		}
	}
	if p.feed != nil {
		if stream := p.feed.Stream(); stream != nil {
			streams = append(streams, written{feedName, stream, nil})
		}
	}
	return streams
}

var followerStates = map[follower.State]adminv1.FollowerState{
	follower.Starting:  adminv1.FollowerState_FOLLOWER_STATE_STARTING,
	follower.Following: adminv1.FollowerState_FOLLOWER_STATE_FOLLOWING,
	follower.Retrying:  adminv1.FollowerState_FOLLOWER_STATE_RETRYING,
	follower.Stopped:   adminv1.FollowerState_FOLLOWER_STATE_STOPPED,
}

// GetStatus returns the state of the process.
func (o *operations) GetStatus(ctx context.Context, _ *adminv1.GetStatusRequest) (*adminv1.GetStatusResponse, error) {
	p := o.process
	response := &adminv1.GetStatusResponse{}
	serves := p.health.all()
	for _, service := range serviceNames {
		if serving, runs := serves[service]; runs {
			response.Services = append(response.Services, &adminv1.ServiceStatus{Service: string(service), Serving: serving})
		}
	}
	for _, w := range p.streams() {
		extent, err := w.stream.Extent(ctx)
		if err != nil {
			return nil, failure.New(failure.Unavailable, "LOG_UNAVAILABLE", "the event log cannot be asked just now; try again").Because(err)
		}
		durable, _ := w.stream.Durable()
		status := &adminv1.StreamStatus{Stream: w.stream.Name(), Writer: string(w.service),
			LastSequence: extent.Last, DurableSequence: durable, Subjects: extent.Subjects, Bytes: extent.Bytes}
		if is := w.residence; is != nil {
			status.State = &adminv1.StateStatus{Accounts: uint64(is.Accounts), InMemory: uint64(is.InMemory), CheckpointSequence: is.Checkpoint}
			if is.Checkpoint > 0 {
				status.State.CheckpointAge = durationpb.New(time.Since(is.CheckpointAt))
			}
		}
		response.Streams = append(response.Streams, status)
	}
	for _, f := range p.followers(ctx) {
		status := &adminv1.FollowerStatus{Follower: f.Follower, Stream: f.Stream, Position: f.Position, LastSequence: f.Last, Lag: f.Last - f.Position, State: followerStates[f.State]}
		if f.Problem != nil {
			status.Problem = f.Problem.Error()
		}
		response.Followers = append(response.Followers, status)
	}
	for _, view := range p.views() {
		response.Views = append(response.Views, view.name)
	}
	if p.transactions != nil {
		response.Decisions = decisionStatus(p.transactions.Decisions())
	}
	if p.disk != nil {
		response.Disk = &adminv1.DiskStatus{FreeBytes: p.disk.free.Load(), ReserveBytes: p.disk.reserve.Load(), Low: p.disk.low.Load()}
	}
	return response, nil
}

func decisionStatus(took []telemetry.Latency) *adminv1.DecisionStatus {
	status := &adminv1.DecisionStatus{}
	for _, bucket := range took {
		status.Decided += bucket.Count
		status.Latency = append(status.Latency, &adminv1.LatencyBucket{UpTo: durationpb.New(bucket.UpTo), Decided: bucket.Count})
	}
	return status
}

// RebuildView makes a view again from the log.
func (o *operations) RebuildView(ctx context.Context, r *adminv1.RebuildViewRequest) (*adminv1.RebuildViewResponse, error) {
	for _, view := range o.process.views() {
		if view.name != r.GetView() {
			continue
		}
		began := time.Now()
		events, err := view.rebuild(ctx)
		if err != nil {
			return nil, failure.New(failure.Unavailable, "REBUILD_FAILED", "the view could not be made again and serves as before; the log says why; try again").Because(err)
		}
		return &adminv1.RebuildViewResponse{Events: events, Elapsed: durationpb.New(time.Since(began))}, nil
	}
	return nil, failure.New(failure.NotFound, "VIEW_NOT_FOUND", "this process has no view %s; GetStatus lists those that it has", r.GetView())
}

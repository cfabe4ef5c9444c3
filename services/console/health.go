package console

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
)

// healthView is how the servers are.
type healthView struct {
	Asked     bool
	Problems  []string
	Servers   []serverHealth
	Services  []serviceHealth
	Streams   []*adminv1.StreamStatus
	Followers []*adminv1.FollowerStatus
	Bytes     uint64
	Disk      *adminv1.DiskStatus // nil where the log is outside
}

type serverHealth struct {
	Address string
	Problem string // why it does not answer
}

type serviceHealth struct {
	Name, Address string
	Serving       bool
}

// showHealth shows how the servers are.
func (c *Console) showHealth(w http.ResponseWriter, r *http.Request) error {
	content := c.healthOf(c.router.ask(r.Context()))
	return c.show(w, r, "health", view{Title: "Health", Section: "health", Content: content})
}

// streamHealth keeps the page up to date.
func (c *Console) streamHealth(ctx context.Context, _ *http.Request, s *stream) error {
	look := time.NewTicker(gaugeEvery)
	defer look.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, gaugeBound)
		answers := c.router.ask(asking)
		cancel()
		if err := s.show(map[string]any{"health": c.healthOf(answers)}); err != nil {
			return err
		}
		if err := s.event("beat", ""); err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// healthOf puts the servers' answers together.
func (c *Console) healthOf(answers []answer) *healthView {
	v := &healthView{Asked: len(answers) > 0}
	for _, one := range answers {
		server := serverHealth{Address: one.server.Address}
		if one.err != nil {
			server.Problem = explain(one.err).sentence
			v.Problems = append(v.Problems, one.server.Address+" does not answer.")
		}
		v.Servers = append(v.Servers, server)
		for _, service := range one.status.GetServices() {
			v.Services = append(v.Services, serviceHealth{Name: service.GetService(), Address: one.server.Address, Serving: service.GetServing()})
			if !service.GetServing() {
				v.Problems = append(v.Problems, "The service "+service.GetService()+" is not serving.")
			}
		}
		for _, stream := range one.status.GetStreams() {
			v.Streams = append(v.Streams, stream)
			v.Bytes += stream.GetBytes()
		}
		if disk := one.status.GetDisk(); disk != nil {
			v.Disk = disk
			if disk.GetLow() {
				v.Problems = append(v.Problems, "The disk is almost full: nothing more is stored until there is room. Reads go on.")
			}
		}
		for _, follower := range one.status.GetFollowers() {
			v.Followers = append(v.Followers, follower)
			switch follower.GetState() {
			case adminv1.FollowerState_FOLLOWER_STATE_RETRYING, adminv1.FollowerState_FOLLOWER_STATE_STOPPED:
				v.Problems = append(v.Problems, fmt.Sprintf("%s does not follow %s: %s", follower.GetFollower(), follower.GetStream(), sentence(follower.GetProblem())))
			default:
			}
		}
	}
	return v
}

func sortedKeys(of map[string]any) []string { return slices.Sorted(maps.Keys(of)) }

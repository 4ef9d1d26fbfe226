// Writes, reads in a group and commits with franz-go until standard input ends, then prints `errors N p99_ms M`. What it is for
// stands in tests/src/failover/rolling.rs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type seen struct {
	sync.Mutex
	errors []string
	took   []time.Duration
}

func (s *seen) fail(what string, err error) {
	s.Lock()
	defer s.Unlock()
	s.errors = append(s.errors, what+": "+err.Error())
}

func main() {
	seeds, topic := strings.Split(os.Getenv("BOOTSTRAP"), ","), os.Getenv("TOPIC")
	ctx, stop := context.WithCancel(context.Background())
	s := &seen{}
	var running sync.WaitGroup
	running.Go(func() { write(ctx, s, seeds, topic) })
	running.Go(func() { read(ctx, s, seeds, topic) })
	io.Copy(io.Discard, os.Stdin)
	stop()
	running.Wait()
	for _, said := range s.errors {
		fmt.Println(said)
	}
	slices.Sort(s.took)
	p99 := int64(-1)
	if len(s.took) > 0 {
		p99 = s.took[(len(s.took)-1)*99/100].Milliseconds()
	}
	fmt.Printf("errors %d p99_ms %d writes %d franz-go\n", len(s.errors), p99, len(s.took))
}

func write(ctx context.Context, s *seen, seeds []string, topic string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		s.fail("writer", err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		begun := time.Now()
		client.Produce(context.Background(), &kgo.Record{Value: make([]byte, 100)}, func(_ *kgo.Record, err error) {
			if err != nil {
				s.fail("write", err)
				return
			}
			s.Lock()
			s.took = append(s.took, time.Since(begun))
			s.Unlock()
		})
		time.Sleep(10 * time.Millisecond)
	}
	client.Flush(context.Background())
}

func read(ctx context.Context, s *seen, seeds []string, topic string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic),
		kgo.ConsumerGroup("rolling-franz"), kgo.DisableAutoCommit())
	if err != nil {
		s.fail("reader", err)
		return
	}
	defer client.Close()
	for polls := 1; ctx.Err() == nil; polls++ {
		client.PollFetches(ctx).EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.Canceled) {
				s.fail("read", err)
			}
		})
		if polls%10 == 0 {
			if err := client.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
				s.fail("commit", err)
			}
		}
	}
}

// A client of a chaos run over franz-go: sends what standard input says, reads its topic, and says on standard output what came of it.
//
//	franz BOOTSTRAP TOPIC PARTITIONS
//
// See ../README.md for the lines.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type order struct {
	Send      uint64 `json:"send"`
	Partition int32  `json:"partition"`
	Value     string `json:"value"`
}

var speaking sync.Mutex

func say(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	speaking.Lock()
	defer speaking.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func main() {
	bootstrap, topic := strings.Split(os.Args[1], ","), os.Args[2]
	partitions, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	// A little of what is there is read again.
	begin := map[int32]kgo.Offset{}
	for partition := range partitions {
		begin[int32(partition)] = kgo.NewOffset().AtEnd().Relative(-300)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProduceRequestTimeout(3*time.Second),
		kgo.RequestTimeoutOverhead(3*time.Second),
		kgo.DialTimeout(2*time.Second),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: begin}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(200*time.Millisecond),
	)
	if err != nil {
		panic(err)
	}
	go read(client)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var sent order
		if err := json.Unmarshal(lines.Bytes(), &sent); err != nil {
			panic(err)
		}
		record := &kgo.Record{Topic: topic, Partition: sent.Partition, Value: []byte(sent.Value)}
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			if err != nil {
				say(map[string]any{"unknown": sent.Send, "why": err.Error()})
				return
			}
			say(map[string]any{"sent": sent.Send, "offset": record.Offset})
		})
	}
	// The records that are under way get their answers.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client.Flush(ctx)
}

func read(client *kgo.Client) {
	for {
		fetches := client.PollFetches(context.Background())
		fetches.EachError(func(_ string, partition int32, err error) {
			if errors.Is(err, kerr.OffsetOutOfRange) {
				say(map[string]any{"gone": partition, "why": err.Error()})
			}
		})
		records := [][]any{}
		fetches.EachRecord(func(record *kgo.Record) {
			records = append(records, []any{record.Partition, record.Offset, string(record.Value)})
		})
		if len(records) > 0 {
			say(map[string]any{"read": records})
		}
	}
}

// The checks over franz-go, with its own defaults: idempotent writes, cooperative-sticky groups, fetch sessions.
package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tidemark/tests/interop/check"
)

type franz struct{ admin *kadm.Client }

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

func refused(err error) error {
	var known *kerr.Error
	if errors.As(err, &known) {
		return check.Refused{Code: int(known.Code), Detail: known.Message}
	}
	return err
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return refused(err)
		}
	}
	return nil
}

func (franz) Name() string { return "franz-go" }

func (f franz) CreateTopic(topic string, partitions int, configs map[string]string) error {
	ctx, cancel := limited()
	defer cancel()
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	answer, err := f.admin.CreateTopic(ctx, int32(partitions), 1, values, topic)
	return first(answer.Err, err)
}

func (f franz) DeleteTopic(topic string) error {
	ctx, cancel := limited()
	defer cancel()
	answer, err := f.admin.DeleteTopic(ctx, topic)
	return first(answer.Err, err)
}

func (f franz) Topics() ([]string, error) {
	ctx, cancel := limited()
	defer cancel()
	topics, err := f.admin.ListTopics(ctx)
	return topics.Names(), first(err)
}

func (f franz) Partitions(topic string) (int, error) {
	ctx, cancel := limited()
	defer cancel()
	topics, err := f.admin.ListTopics(ctx, topic)
	return len(topics[topic].Partitions), first(err, topics[topic].Err)
}

func (f franz) AddPartitions(topic string, total int) error {
	ctx, cancel := limited()
	defer cancel()
	answer, err := f.admin.UpdatePartitions(ctx, total, topic)
	return first(answer[topic].Err, err)
}

func (f franz) TopicConfig(topic, key string) (string, error) {
	ctx, cancel := limited()
	defer cancel()
	all, err := f.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return "", refused(err)
	}
	one, err := all.On(topic, nil)
	if err = first(err, one.Err); err != nil {
		return "", err
	}
	for _, config := range one.Configs {
		if config.Key == key {
			return config.MaybeValue(), nil
		}
	}
	return "", errors.New(key + " is not described")
}

func (f franz) AlterConfig(topic, key string, value *string) error {
	ctx, cancel := limited()
	defer cancel()
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: value}
	if value == nil {
		change.Op = kadm.DeleteConfig
	}
	answers, err := f.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic)
	if err != nil {
		return refused(err)
	}
	answer, err := answers.On(topic, nil)
	return first(answer.Err, err)
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func (f franz) Produce(topic string, records []check.Record, how check.Produce) error {
	options := []kgo.Opt{
		kgo.SeedBrokers(check.Bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(20 * time.Millisecond),
		kgo.ProducerBatchMaxBytes(8_000_000), kgo.ProducerBatchCompression(codec(how.Codec)),
	}
	if !how.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := limited()
	defer cancel()
	batch := make([]*kgo.Record, len(records))
	for i, record := range records {
		batch[i] = &kgo.Record{Topic: topic, Partition: int32(record.Partition), Key: record.Key, Value: record.Value, Timestamp: record.Time}
		for _, header := range record.Headers {
			batch[i].Headers = append(batch[i].Headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
		}
	}
	return refused(client.ProduceSync(ctx, batch...).FirstErr())
}

func records(fetches kgo.Fetches) []check.Record {
	var records []check.Record
	fetches.EachRecord(func(r *kgo.Record) {
		record := check.Record{Partition: int(r.Partition), Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
		for _, header := range r.Headers {
			record.Headers = append(record.Headers, check.Header{Name: header.Key, Value: header.Value})
		}
		records = append(records, record)
	})
	return records
}

func (f franz) Read(topic string, partition int, offset int64, count int) ([]check.Record, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(check.Bootstrap), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {int32(partition): kgo.NewOffset().At(offset)}}),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := limited()
	defer cancel()
	var all []check.Record
	for len(all) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, refused(err)
		}
		for _, problem := range fetches.Errors() {
			return nil, refused(problem.Err)
		}
		all = append(all, records(fetches)...)
	}
	return all[:count], nil
}

func (f franz) Bounds(topic string, partition int) (int64, int64, error) {
	ctx, cancel := limited()
	defer cancel()
	starts, err := f.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, 0, refused(err)
	}
	ends, err := f.admin.ListEndOffsets(ctx, topic)
	return starts[topic][int32(partition)].Offset, ends[topic][int32(partition)].Offset, first(err)
}

func (f franz) OffsetAt(topic string, partition int, at time.Time) (int64, error) {
	ctx, cancel := limited()
	defer cancel()
	listed, err := f.admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	found := listed[topic][int32(partition)]
	// kadm gives the end where no record is that late, and says so by the timestamp.
	if found.Timestamp < 0 {
		return -1, first(err, found.Err)
	}
	return found.Offset, first(err, found.Err)
}

func (f franz) Committed(group, topic string, partition int) (int64, error) {
	ctx, cancel := limited()
	defer cancel()
	offsets, err := f.admin.FetchOffsets(ctx, group)
	found, _ := offsets.Lookup(topic, int32(partition))
	return found.At, first(err, found.Err)
}

func (f franz) CommitFromOutside(group, topic string, partition int, offset int64) error {
	ctx, cancel := limited()
	defer cancel()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, int32(partition), offset, -1)
	answers, err := f.admin.CommitOffsets(ctx, group, offsets)
	return first(err, answers.Error())
}

type member struct {
	client *kgo.Client
	topic  string
	mutex  sync.Mutex
	owned  map[int32]bool
}

func (f franz) Join(group, topic string) (check.Member, error) {
	m := &member{topic: topic, owned: map[int32]bool{}}
	note := func(mine bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			for _, partition := range changed[topic] {
				if mine {
					m.owned[partition] = true
				} else {
					delete(m.owned, partition)
				}
			}
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(check.Bootstrap), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(500*time.Millisecond), kgo.SessionTimeout(10*time.Second),
		kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)), kgo.OnPartitionsLost(note(false)),
	)
	m.client = client
	return m, err
}

func (m *member) Poll(wait time.Duration) ([]check.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	fetches := m.client.PollFetches(ctx)
	for _, problem := range fetches.Errors() {
		if !errors.Is(problem.Err, context.DeadlineExceeded) && !strings.Contains(problem.Err.Error(), "context") {
			return nil, refused(problem.Err)
		}
	}
	return records(fetches), nil
}

func (m *member) Assignment() []int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var partitions []int
	for partition := range m.owned {
		partitions = append(partitions, int(partition))
	}
	slices.Sort(partitions)
	return partitions
}

func (m *member) Commit(offsets map[int]int64) error {
	ctx, cancel := limited()
	defer cancel()
	var commits []*kgo.Record
	for partition, next := range offsets {
		commits = append(commits, &kgo.Record{Topic: m.topic, Partition: int32(partition), Offset: next - 1, LeaderEpoch: -1})
	}
	return refused(m.client.CommitRecords(ctx, commits...))
}

func (m *member) Close() { m.client.Close() }

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(check.Bootstrap))
	if err != nil {
		panic(err)
	}
	check.Run(franz{kadm.NewClient(client)})
}

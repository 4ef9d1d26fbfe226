// The checks over kafka-go. It has no idempotent producer, so that check is left out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"tidemark/tests/interop/check"
)

type client struct{ kafka *kafka.Client }

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

func refused(err error) error {
	var many kafka.WriteErrors
	if errors.As(err, &many) {
		for _, one := range many {
			if one != nil {
				err = one
			}
		}
	}
	var tooLarge kafka.MessageTooLargeError
	if errors.As(err, &tooLarge) {
		return errors.New("the client refused the size by itself")
	}
	var code kafka.Error
	if errors.As(err, &code) {
		return check.Refused{Code: int(code), Detail: err.Error()}
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

func (client) Name() string   { return "kafka-go" }
func (client) NoIdempotence() {}

func (c client) CreateTopic(topic string, partitions int, configs map[string]string) error {
	ctx, cancel := limited()
	defer cancel()
	wanted := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}
	for key, value := range configs {
		wanted.ConfigEntries = append(wanted.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	answer, err := c.kafka.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}})
	if err != nil {
		return refused(err)
	}
	return first(answer.Errors[topic])
}

func (c client) DeleteTopic(topic string) error {
	ctx, cancel := limited()
	defer cancel()
	answer, err := c.kafka.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return refused(err)
	}
	return first(answer.Errors[topic])
}

func (c client) metadata(topics ...string) ([]kafka.Topic, error) {
	ctx, cancel := limited()
	defer cancel()
	answer, err := c.kafka.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		return nil, refused(err)
	}
	return answer.Topics, nil
}

func (c client) Topics() ([]string, error) {
	topics, err := c.metadata()
	var names []string
	for _, topic := range topics {
		names = append(names, topic.Name)
	}
	return names, err
}

func (c client) Partitions(topic string) (int, error) {
	topics, err := c.metadata(topic)
	if err != nil {
		return 0, err
	}
	return len(topics[0].Partitions), first(topics[0].Error)
}

func (c client) AddPartitions(topic string, total int) error {
	ctx, cancel := limited()
	defer cancel()
	wanted := []kafka.TopicPartitionsConfig{{Name: topic, Count: int32(total)}}
	answer, err := c.kafka.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: wanted})
	if err != nil {
		return refused(err)
	}
	return first(answer.Errors[topic])
}

func (c client) TopicConfig(topic, key string) (string, error) {
	ctx, cancel := limited()
	defer cancel()
	resource := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key}}
	answer, err := c.kafka.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{resource}})
	if err != nil {
		return "", refused(err)
	}
	if one := answer.Resources[0]; one.Error == nil && len(one.ConfigEntries) == 1 {
		return one.ConfigEntries[0].ConfigValue, nil
	}
	return "", first(answer.Resources[0].Error, fmt.Errorf("%d entries for one key", len(answer.Resources[0].ConfigEntries)))
}

func (c client) AlterConfig(topic, key string, value *string) error {
	ctx, cancel := limited()
	defer cancel()
	change := kafka.IncrementalAlterConfigsRequestConfig{Name: key, ConfigOperation: kafka.ConfigOperationSet}
	if value == nil {
		change.ConfigOperation = kafka.ConfigOperationDelete
	} else {
		change.Value = *value
	}
	resource := kafka.IncrementalAlterConfigsRequestResource{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, Configs: []kafka.IncrementalAlterConfigsRequestConfig{change},
	}
	answer, err := c.kafka.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{resource},
	})
	if err != nil {
		return refused(err)
	}
	return first(answer.Resources[0].Error)
}

func codec(name string) kafka.Compression {
	switch name {
	case "gzip":
		return kafka.Gzip
	case "snappy":
		return kafka.Snappy
	case "lz4":
		return kafka.Lz4
	case "zstd":
		return kafka.Zstd
	}
	return 0
}

// byRecord sends a record to the partition it names.
type byRecord struct{}

func (byRecord) Balance(message kafka.Message, partitions ...int) int {
	return message.WriterData.(int)
}

func (c client) Produce(topic string, records []check.Record, how check.Produce) error {
	writer := &kafka.Writer{
		Addr: c.kafka.Addr, Topic: topic, Balancer: byRecord{}, RequiredAcks: kafka.RequireAll, Compression: codec(how.Codec),
		BatchSize: 1000, BatchBytes: 8_000_000, BatchTimeout: 20 * time.Millisecond, MaxAttempts: 3,
	}
	defer writer.Close()
	ctx, cancel := limited()
	defer cancel()
	messages := make([]kafka.Message, len(records))
	for i, record := range records {
		messages[i] = kafka.Message{Key: record.Key, Value: record.Value, Time: record.Time, WriterData: record.Partition}
		for _, header := range record.Headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: header.Name, Value: header.Value})
		}
	}
	return refused(writer.WriteMessages(ctx, messages...))
}

func fromMessage(m kafka.Message) check.Record {
	record := check.Record{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Time: m.Time}
	for _, header := range m.Headers {
		record.Headers = append(record.Headers, check.Header{Name: header.Key, Value: header.Value})
	}
	return record
}

// fetchOnce asks by the client's Fetch: the Reader below would quietly start again when the offset is out of range.
func (c client) fetchOnce(topic string, partition int, offset int64) error {
	ctx, cancel := limited()
	defer cancel()
	answer, err := c.kafka.Fetch(ctx, &kafka.FetchRequest{
		Addr: c.kafka.Addr, Topic: topic, Partition: partition, Offset: offset, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond,
	})
	if err != nil {
		return refused(err)
	}
	if answer.Error != nil {
		return refused(answer.Error)
	}
	for {
		record, err := answer.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return refused(err)
		}
		for _, side := range []kafka.Bytes{record.Key, record.Value} {
			if side != nil {
				side.Close()
			}
		}
	}
}

func (c client) Read(topic string, partition int, offset int64, count int) ([]check.Record, error) {
	if err := c.fetchOnce(topic, partition, offset); err != nil {
		return nil, err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{check.Bootstrap}, Topic: topic, Partition: partition, MaxBytes: 10_000_000, MaxWait: 100 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(offset); err != nil {
		return nil, refused(err)
	}
	ctx, cancel := limited()
	defer cancel()
	var all []check.Record
	for len(all) < count {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("%d of %d records: %w", len(all), count, refused(err))
		}
		all = append(all, fromMessage(message))
	}
	return all, nil
}

func (c client) listOffset(topic string, request kafka.OffsetRequest) (kafka.PartitionOffsets, error) {
	ctx, cancel := limited()
	defer cancel()
	answer, err := c.kafka.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {request}}})
	if err != nil {
		return kafka.PartitionOffsets{}, refused(err)
	}
	return answer.Topics[topic][0], first(answer.Topics[topic][0].Error)
}

func (c client) Bounds(topic string, partition int) (int64, int64, error) {
	start, err := c.listOffset(topic, kafka.FirstOffsetOf(partition))
	if err != nil {
		return 0, 0, err
	}
	end, err := c.listOffset(topic, kafka.LastOffsetOf(partition))
	return start.FirstOffset, end.LastOffset, err
}

func (c client) OffsetAt(topic string, partition int, at time.Time) (int64, error) {
	found, err := c.listOffset(topic, kafka.TimeOffsetOf(partition, at))
	for offset := range found.Offsets {
		return offset, err
	}
	return -1, err
}

func (c client) Committed(group, topic string, partition int) (int64, error) {
	ctx, cancel := limited()
	defer cancel()
	answer, err := c.kafka.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {partition}}})
	if err != nil {
		return 0, refused(err)
	}
	return answer.Topics[topic][0].CommittedOffset, first(answer.Error, answer.Topics[topic][0].Error)
}

func (c client) CommitFromOutside(group, topic string, partition int, offset int64) error {
	ctx, cancel := limited()
	defer cancel()
	answer, err := c.kafka.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: partition, Offset: offset}}},
	})
	if err != nil {
		return refused(err)
	}
	return first(answer.Topics[topic][0].Error)
}

// member is a ConsumerGroup, which says what is assigned, with a Reader for each partition of each generation.
type member struct {
	topic      string
	group      *kafka.ConsumerGroup
	records    chan check.Record
	stop       context.CancelFunc
	stopped    chan struct{}
	mutex      sync.Mutex
	generation *kafka.Generation
}

func (c client) Join(group, topic string) (check.Member, error) {
	consumer, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{check.Bootstrap}, Topics: []string{topic}, StartOffset: kafka.FirstOffset,
		HeartbeatInterval: 500 * time.Millisecond, SessionTimeout: 10 * time.Second, JoinGroupBackoff: 500 * time.Millisecond,
	})
	if err != nil {
		return nil, refused(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{topic: topic, group: consumer, records: make(chan check.Record, 10_000), stop: stop, stopped: make(chan struct{})}
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			generation, err := consumer.Next(ctx)
			if err != nil {
				continue
			}
			m.set(generation)
			for _, assigned := range generation.Assignments[topic] {
				generation.Start(func(ctx context.Context) { m.consume(ctx, assigned) })
			}
			generation.Start(func(ctx context.Context) {
				<-ctx.Done()
				m.set(nil)
			})
		}
	}()
	return m, nil
}

func (m *member) set(generation *kafka.Generation) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.generation = generation
}

func (m *member) consume(ctx context.Context, assigned kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{check.Bootstrap}, Topic: m.topic, Partition: assigned.ID, MaxBytes: 10_000_000, MaxWait: 100 * time.Millisecond,
	})
	defer reader.Close()
	reader.SetOffset(assigned.Offset)
	for {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return
		}
		m.records <- fromMessage(message)
	}
}

func (m *member) Poll(wait time.Duration) ([]check.Record, error) {
	var all []check.Record
	deadline := time.After(wait)
	for {
		select {
		case record := <-m.records:
			all = append(all, record)
			if len(m.records) == 0 {
				return all, nil
			}
		case <-deadline:
			return all, nil
		}
	}
}

func (m *member) Assignment() []int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var partitions []int
	if m.generation != nil {
		for _, assigned := range m.generation.Assignments[m.topic] {
			partitions = append(partitions, assigned.ID)
		}
	}
	slices.Sort(partitions)
	return partitions
}

func (m *member) Commit(offsets map[int]int64) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.generation == nil {
		return errors.New("no generation to commit in")
	}
	return refused(m.generation.CommitOffsets(map[string]map[int]int64{m.topic: offsets}))
}

func (m *member) Close() {
	m.stop()
	m.group.Close()
	<-m.stopped
}

func main() {
	check.Run(client{&kafka.Client{Addr: kafka.TCP(check.Bootstrap), Timeout: 30 * time.Second}})
}

// The checks over sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"tidemark/tests/interop/check"
)

type client struct {
	sarama sarama.Client
	admin  sarama.ClusterAdmin
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 8_000_000
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 10 * time.Second
	return config
}

func refused(err error) error {
	var batch sarama.ProducerErrors
	if errors.As(err, &batch) && len(batch) > 0 {
		err = batch[0].Err
	}
	var code sarama.KError
	if errors.As(err, &code) {
		return check.Refused{Code: int(code), Detail: err.Error()}
	}
	return err
}

func (client) Name() string { return "sarama" }

func (c client) CreateTopic(topic string, partitions int, configs map[string]string) error {
	entries := map[string]*string{}
	for key, value := range configs {
		entries[key] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1, ConfigEntries: entries}
	return refused(c.admin.CreateTopic(topic, detail, false))
}

func (c client) DeleteTopic(topic string) error { return refused(c.admin.DeleteTopic(topic)) }

func (c client) Topics() ([]string, error) {
	details, err := c.admin.ListTopics()
	var names []string
	for name := range details {
		names = append(names, name)
	}
	return names, refused(err)
}

func (c client) Partitions(topic string) (int, error) {
	described, err := c.admin.DescribeTopics([]string{topic})
	if err != nil {
		return 0, refused(err)
	}
	if described[0].Err != sarama.ErrNoError {
		return 0, refused(described[0].Err)
	}
	return len(described[0].Partitions), nil
}

func (c client) AddPartitions(topic string, total int) error {
	return refused(c.admin.CreatePartitions(topic, int32(total), nil, false))
}

func (c client) TopicConfig(topic, key string) (string, error) {
	entries, err := c.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	for _, entry := range entries {
		if entry.Name == key {
			return entry.Value, nil
		}
	}
	return "", errors.Join(refused(err), errors.New(key+" is not described"))
}

func (c client) AlterConfig(topic, key string, value *string) error {
	operation := sarama.IncrementalAlterConfigsOperationSet
	if value == nil {
		operation = sarama.IncrementalAlterConfigsOperationDelete
	}
	change := map[string]sarama.IncrementalAlterConfigsEntry{key: {Operation: operation, Value: value}}
	return refused(c.admin.IncrementalAlterConfig(sarama.TopicResource, topic, change, false))
}

func codec(name string) sarama.CompressionCodec {
	switch name {
	case "gzip":
		return sarama.CompressionGZIP
	case "snappy":
		return sarama.CompressionSnappy
	case "lz4":
		return sarama.CompressionLZ4
	case "zstd":
		return sarama.CompressionZSTD
	}
	return sarama.CompressionNone
}

func encoder(data []byte) sarama.Encoder {
	if data == nil {
		return nil
	}
	return sarama.ByteEncoder(data)
}

func (c client) Produce(topic string, records []check.Record, how check.Produce) error {
	config := config()
	config.Producer.Compression = codec(how.Codec)
	if how.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer([]string{check.Bootstrap}, config)
	if err != nil {
		return refused(err)
	}
	defer producer.Close()
	messages := make([]*sarama.ProducerMessage, len(records))
	for i, record := range records {
		messages[i] = &sarama.ProducerMessage{
			Topic: topic, Partition: int32(record.Partition), Key: encoder(record.Key), Value: encoder(record.Value), Timestamp: record.Time,
		}
		for _, header := range record.Headers {
			messages[i].Headers = append(messages[i].Headers, sarama.RecordHeader{Key: []byte(header.Name), Value: header.Value})
		}
	}
	return refused(producer.SendMessages(messages))
}

func fromMessage(m *sarama.ConsumerMessage) check.Record {
	record := check.Record{Partition: int(m.Partition), Offset: m.Offset, Key: m.Key, Value: m.Value, Time: m.Timestamp}
	for _, header := range m.Headers {
		record.Headers = append(record.Headers, check.Header{Name: string(header.Key), Value: header.Value})
	}
	return record
}

// fetchOnce asks the leader itself: the consumer would compare the offset with ListOffsets and never fetch outside.
func (c client) fetchOnce(topic string, partition int, offset int64) error {
	leader, err := c.sarama.Leader(topic, int32(partition))
	if err != nil {
		return refused(err)
	}
	request := &sarama.FetchRequest{Version: 11, MaxWaitTime: 100, MinBytes: 1, MaxBytes: 1 << 20, SessionEpoch: -1}
	request.AddBlock(topic, int32(partition), offset, 1<<20, -1)
	answer, err := leader.Fetch(request)
	if err != nil {
		return refused(err)
	}
	if code := answer.GetBlock(topic, int32(partition)).Err; code != sarama.ErrNoError {
		return refused(code)
	}
	return nil
}

func (c client) Read(topic string, partition int, offset int64, count int) ([]check.Record, error) {
	if err := c.fetchOnce(topic, partition, offset); err != nil {
		return nil, err
	}
	consumer, err := sarama.NewConsumer([]string{check.Bootstrap}, config())
	if err != nil {
		return nil, refused(err)
	}
	defer consumer.Close()
	part, err := consumer.ConsumePartition(topic, int32(partition), offset)
	if err != nil {
		return nil, refused(err)
	}
	defer part.Close()
	var all []check.Record
	deadline := time.After(30 * time.Second)
	for len(all) < count {
		select {
		case message := <-part.Messages():
			all = append(all, fromMessage(message))
		case problem := <-part.Errors():
			return nil, refused(problem.Err)
		case <-deadline:
			return nil, fmt.Errorf("%d of %d records in 30 s", len(all), count)
		}
	}
	return all, nil
}

func (c client) Bounds(topic string, partition int) (int64, int64, error) {
	first, err := c.sarama.GetOffset(topic, int32(partition), sarama.OffsetOldest)
	if err != nil {
		return 0, 0, refused(err)
	}
	end, err := c.sarama.GetOffset(topic, int32(partition), sarama.OffsetNewest)
	return first, end, refused(err)
}

func (c client) OffsetAt(topic string, partition int, at time.Time) (int64, error) {
	offset, err := c.sarama.GetOffset(topic, int32(partition), at.UnixMilli())
	return offset, refused(err)
}

func (c client) Committed(group, topic string, partition int) (int64, error) {
	answer, err := c.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {int32(partition)}})
	if err != nil {
		return 0, refused(err)
	}
	return answer.GetBlock(topic, int32(partition)).Offset, nil
}

func (c client) CommitFromOutside(group, topic string, partition int, offset int64) error {
	offsets := map[string]map[int32]sarama.OffsetAndMetadata{topic: {int32(partition): {Offset: offset, LeaderEpoch: -1}}}
	answer, err := c.admin.AlterConsumerGroupOffsets(group, offsets, nil)
	if err != nil {
		return refused(err)
	}
	if code := answer.Errors[topic][int32(partition)]; code != sarama.ErrNoError {
		return refused(code)
	}
	return nil
}

type member struct {
	topic   string
	group   sarama.ConsumerGroup
	records chan check.Record
	stop    context.CancelFunc
	stopped chan struct{}
	mutex   sync.Mutex
	session sarama.ConsumerGroupSession
}

func (c client) Join(group, topic string) (check.Member, error) {
	consumer, err := sarama.NewConsumerGroup([]string{check.Bootstrap}, group, config())
	if err != nil {
		return nil, refused(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{topic: topic, group: consumer, records: make(chan check.Record, 10_000), stop: stop, stopped: make(chan struct{})}
	go func() {
		for range consumer.Errors() {
		}
	}()
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			if consumer.Consume(ctx, []string{topic}, m) != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	return m, nil
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.session = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, more := <-claim.Messages():
			if !more {
				return nil
			}
			m.records <- fromMessage(message)
		case <-session.Context().Done():
			return nil
		}
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
	if m.session != nil {
		for _, partition := range m.session.Claims()[m.topic] {
			partitions = append(partitions, int(partition))
		}
	}
	slices.Sort(partitions)
	return partitions
}

func (m *member) Commit(offsets map[int]int64) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.session == nil {
		return errors.New("no session to commit in")
	}
	for partition, next := range offsets {
		m.session.MarkOffset(m.topic, int32(partition), next, "")
	}
	m.session.Commit()
	return nil
}

func (m *member) Close() {
	m.stop()
	<-m.stopped
	m.group.Close()
}

func main() {
	connected, err := sarama.NewClient([]string{check.Bootstrap}, config())
	if err != nil {
		panic(err)
	}
	admin, err := sarama.NewClusterAdmin([]string{check.Bootstrap}, config())
	if err != nil {
		panic(err)
	}
	check.Run(client{connected, admin})
}

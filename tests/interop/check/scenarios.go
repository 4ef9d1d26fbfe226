// Package check holds the checks of README.md in the order they run, over an adapter for one Go client.
//
// An adapter says nothing about what is right: it does the calls and hands back what the client saw, and the checks
// compare. Run prints a line per check and exits with 1 when one failed.
package check

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Record is what is produced, and what must come back. A nil key or value is Kafka's null.
type Record struct {
	Partition int
	Offset    int64
	Key       []byte
	Value     []byte
	Time      time.Time
	Headers   []Header
}

// Header is one of a record's headers; a nil value is null.
type Header struct {
	Name  string
	Value []byte
}

// Refused is the broker's no, by Kafka's number of the error.
type Refused struct {
	Code   int
	Detail string
}

func (r Refused) Error() string { return fmt.Sprintf("error %d %s", r.Code, r.Detail) }

// Kafka's error numbers that the checks await.
const (
	OffsetOutOfRange   = 1
	UnknownTopic       = 3
	MessageTooLarge    = 10
	InvalidTopic       = 17
	IllegalGeneration  = 22
	UnknownMember      = 25
	RebalanceInProcess = 27
	TopicExists        = 36
	InvalidPartitions  = 37
	InvalidConfig      = 40
)

// Produce says how records are sent.
type Produce struct {
	Codec      string
	Idempotent bool
}

// Adapter is one client. Every method returns Refused when the broker answers an error.
type Adapter interface {
	Name() string
	CreateTopic(topic string, partitions int, configs map[string]string) error
	DeleteTopic(topic string) error
	Topics() ([]string, error)
	Partitions(topic string) (int, error)
	AddPartitions(topic string, total int) error
	TopicConfig(topic, key string) (string, error)
	// AlterConfig sets a key, or takes it back to its default when value is nil.
	AlterConfig(topic, key string, value *string) error
	Produce(topic string, records []Record, how Produce) error
	// Read reads count records of a partition, and fails rather than move the offset.
	Read(topic string, partition int, offset int64, count int) ([]Record, error)
	Bounds(topic string, partition int) (first, end int64, err error)
	// OffsetAt is the first offset at or after a time, or -1.
	OffsetAt(topic string, partition int, at time.Time) (int64, error)
	// Join starts a member that begins at the earliest offset and commits only when told.
	Join(group, topic string) (Member, error)
	Committed(group, topic string, partition int) (int64, error)
	CommitFromOutside(group, topic string, partition int, offset int64) error
}

// Member is one consumer of a group.
type Member interface {
	// Poll hands out what came, waiting a moment when there is nothing.
	Poll(time.Duration) ([]Record, error)
	Assignment() []int
	// Commit commits an offset, as the next one to read, for each partition.
	Commit(map[int]int64) error
	Close()
}

// IdempotenceUnsupported is for clients that have no idempotent producer.
type IdempotenceUnsupported interface{ NoIdempotence() }

var (
	quick = os.Getenv("QUICK") != "" && os.Getenv("QUICK") != "0"
	// Bootstrap is the broker under test.
	Bootstrap = bootstrap()
)

func bootstrap() string {
	if address := os.Getenv("BOOTSTRAP"); address != "" {
		return address
	}
	return "127.0.0.1:9092"
}

type scenarios struct {
	client Adapter
	runID  string
	mutex  sync.Mutex
	made   []string
}

// fault is what a failed check panics with; the runner turns it into a line.
type fault struct{ why string }

func fail(format string, arguments ...any) { panic(fault{fmt.Sprintf(format, arguments...)}) }

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func got[T any](value T, err error) T {
	must(err)
	return value
}

func same[T comparable](what string, have, want T) {
	if have != want {
		fail("%s: got %.90v, want %.90v", what, have, want)
	}
}

func refuses(err error, codes ...int) {
	if err == nil {
		fail("nothing refused, want error %v", codes)
	}
	var refused Refused
	if !errors.As(err, &refused) || !slices.Contains(codes, refused.Code) {
		fail("refused with %v, want error %v", err, codes)
	}
}

func until(what string, seconds int, condition func() bool) {
	for end := time.Now().Add(time.Duration(seconds) * time.Second); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			fail("%s after %d s", what, seconds)
		}
	}
}

func (s *scenarios) topicWith(name string, partitions int, configs map[string]string) string {
	full := fmt.Sprintf("interop-%s-%s-%s", s.client.Name(), name, s.runID)
	must(s.client.CreateTopic(full, partitions, configs))
	s.mutex.Lock()
	s.made = append(s.made, full)
	s.mutex.Unlock()
	until("its partitions are not shown", 15, func() bool {
		shown, err := s.client.Partitions(full)
		return err == nil && shown == partitions
	})
	return full
}

func (s *scenarios) topic(name string, partitions int) string { return s.topicWith(name, partitions, nil) }

func (s *scenarios) group(name string) string {
	return fmt.Sprintf("interop-%s-%s-%s", s.client.Name(), name, s.runID)
}

// mixedRecords has keys, null keys, null values, headers twice under one name and with null and empty values, and own timestamps.
func mixedRecords(count int) []Record {
	base := time.UnixMilli(time.Now().UnixMilli() - 60_000)
	headers := []Header{{"name", []byte("one")}, {"name", []byte("two")}, {"null", nil}, {"empty", []byte{}}, {"bytes", []byte{0, 1, 255}}}
	records := make([]Record, count)
	for i := range records {
		value := []byte(fmt.Sprintf("value %d ", i) + strings.Repeat("compressible ", 20))
		records[i] = Record{Key: fmt.Appendf(nil, "key %d", i%7), Value: value, Time: base.Add(time.Duration(i*10) * time.Millisecond)}
		if i%3 == 0 {
			records[i].Headers = headers
		}
	}
	records[1].Key = nil
	records[2].Value = nil
	records[4].Value = []byte{}
	return records
}

func sameBytes(what string, have, want []byte) {
	if !bytes.Equal(have, want) {
		fail("%s: got %.60q, want %.60q", what, have, want)
	}
	// Clients differ in whether an empty slice stands for null, so null is told from empty only where something is there.
	if want == nil && len(have) != 0 {
		fail("%s is not null", what)
	}
}

func sameRecords(have, want []Record) {
	same("count", len(have), len(want))
	for i := range want {
		same(fmt.Sprintf("offset of record %d", i), have[i].Offset, int64(i))
		sameBytes(fmt.Sprintf("key of record %d", i), have[i].Key, want[i].Key)
		sameBytes(fmt.Sprintf("value of record %d", i), have[i].Value, want[i].Value)
		same(fmt.Sprintf("time of record %d", i), have[i].Time.UnixMilli(), want[i].Time.UnixMilli())
		same(fmt.Sprintf("headers of record %d", i), len(have[i].Headers), len(want[i].Headers))
		for j, header := range want[i].Headers {
			same(fmt.Sprintf("header %d of record %d", j, i), have[i].Headers[j].Name, header.Name)
			sameBytes(fmt.Sprintf("header %s of record %d", header.Name, i), have[i].Headers[j].Value, header.Value)
		}
	}
}

func numbered(first, end, partitions int) []Record {
	var records []Record
	for i := first; i < end; i++ {
		records = append(records, Record{Value: []byte(strconv.Itoa(i)), Partition: i % partitions})
	}
	return records
}

func pick(inQuick, inFull int) int {
	if quick {
		return inQuick
	}
	return inFull
}

func (s *scenarios) roundtrip(codec string) {
	topic := s.topic("codec-"+codec, 1)
	sent := mixedRecords(pick(40, 200))
	must(s.client.Produce(topic, sent, Produce{Codec: codec}))
	sameRecords(got(s.client.Read(topic, 0, 0, len(sent))), sent)
}

func (s *scenarios) largeRecord() {
	topic := s.topic("large", 1)
	value := make([]byte, 900_000)
	rand.New(rand.NewSource(7)).Read(value)
	must(s.client.Produce(topic, []Record{{Key: []byte("large"), Value: value}}, Produce{}))
	must(s.client.Produce(topic, []Record{{Value: []byte("after")}}, Produce{}))
	back := got(s.client.Read(topic, 0, 0, 2))
	if !bytes.Equal(back[0].Value, value) {
		fail("900000 bytes came back as %d or changed", len(back[0].Value))
	}
	same("the next record", string(back[1].Value), "after")
}

func (s *scenarios) manyRecords() {
	count, partitions := pick(3_000, 10_000), 3
	topic := s.topic("many", partitions)
	must(s.client.Produce(topic, numbered(0, count, partitions), Produce{Codec: "lz4"}))
	for partition := range partitions {
		want := (count - partition + partitions - 1) / partitions
		for i, record := range got(s.client.Read(topic, partition, 0, want)) {
			same("offset", record.Offset, int64(i))
			same("value", string(record.Value), strconv.Itoa(i*partitions+partition))
		}
	}
}

func (s *scenarios) idempotentProducer() {
	topic := s.topic("idempotent", 1)
	count := pick(300, 1000)
	must(s.client.Produce(topic, numbered(0, count, 1), Produce{Idempotent: true}))
	for i, record := range got(s.client.Read(topic, 0, 0, count)) {
		same("value", string(record.Value), strconv.Itoa(i))
	}
	_, end, err := s.client.Bounds(topic, 0)
	must(err)
	same("end", end, int64(count))
}

func (s *scenarios) offsets() {
	topic := s.topic("offsets", 1)
	base := time.UnixMilli(time.Now().UnixMilli() - 60_000)
	records := numbered(0, 10, 1)
	for i := range records {
		records[i].Time = base.Add(time.Duration(i) * time.Second)
	}
	must(s.client.Produce(topic, records, Produce{Codec: "gzip"}))
	first, end, err := s.client.Bounds(topic, 0)
	must(err)
	same("first", first, 0)
	same("end", end, 10)
	same("at an exact time", got(s.client.OffsetAt(topic, 0, base.Add(4*time.Second))), 4)
	same("between two", got(s.client.OffsetAt(topic, 0, base.Add(4500*time.Millisecond))), 5)
	same("before all", got(s.client.OffsetAt(topic, 0, base.Add(-time.Millisecond))), 0)
	same("after all", got(s.client.OffsetAt(topic, 0, base.Add(time.Minute))), -1)
	for i, record := range got(s.client.Read(topic, 0, 7, 3)) {
		same("read from 7", string(record.Value), strconv.Itoa(7+i))
	}
}

func (s *scenarios) groupResume() {
	topic, group := s.topic("resume", 1), s.group("resume")
	must(s.client.Produce(topic, numbered(0, 100, 1), Produce{}))
	s.withMember(group, topic, func(member Member) {
		first := drain(member, 40)
		must(member.Commit(map[int]int64{0: first[39].Offset + 1}))
	})
	same("committed", got(s.client.Committed(group, topic, 0)), 40)
	s.withMember(group, topic, func(member Member) {
		for i, record := range drain(member, 60)[:60] {
			same("resumed", string(record.Value), strconv.Itoa(40+i))
		}
	})
}

func (s *scenarios) groupRebalance() {
	topic, group := s.topic("rebalance", 4), s.group("rebalance")
	var seen []Record
	all := func(member Member) func() bool { return func() bool { return len(member.Assignment()) == 4 } }
	s.withMember(group, topic, func(one Member) {
		settle(&seen, "one member has not all partitions", all(one), one)
		s.withMember(group, topic, func(two Member) {
			settle(&seen, "two members do not share the partitions", func() bool {
				a, b := one.Assignment(), two.Assignment()
				both := append(slices.Clone(a), b...)
				slices.Sort(both)
				return len(a) > 0 && len(b) > 0 && slices.Equal(both, []int{0, 1, 2, 3})
			}, one, two)
			must(s.client.Produce(topic, numbered(0, 200, 4), Produce{}))
			settle(&seen, "not all of 200 records came", func() bool { return len(seen) >= 200 }, one, two)
			for _, member := range []Member{one, two} {
				commit := map[int]int64{}
				for _, partition := range member.Assignment() {
					commit[partition] = 50
				}
				must(member.Commit(commit))
			}
		})
		settle(&seen, "the partitions of a leaver stay away", all(one), one)
		must(s.client.Produce(topic, numbered(200, 240, 4), Produce{}))
		settle(&seen, "not all of 240 records came", func() bool { return len(seen) >= 240 }, one)
	})
	numbers := make([]int, 0, len(seen))
	for _, record := range seen {
		numbers = append(numbers, got(strconv.Atoi(string(record.Value))))
	}
	slices.Sort(numbers)
	same("records", len(numbers), 240)
	for i, number := range numbers {
		same("record", number, i)
	}
}

func (s *scenarios) withMember(group, topic string, use func(Member)) {
	member := got(s.client.Join(group, topic))
	defer member.Close()
	use(member)
}

func drain(member Member, count int) []Record {
	var records []Record
	for end := time.Now().Add(30 * time.Second); len(records) < count; {
		if time.Now().After(end) {
			fail("%d of %d records in 30 s", len(records), count)
		}
		records = append(records, got(member.Poll(200*time.Millisecond))...)
	}
	return records
}

// settle polls all the members until the condition holds; what they read goes to seen.
func settle(seen *[]Record, what string, condition func() bool, members ...Member) {
	until(what, 40, func() bool {
		for _, member := range members {
			*seen = append(*seen, got(member.Poll(100*time.Millisecond))...)
		}
		return condition()
	})
}

func (s *scenarios) topicCreate() {
	topic := s.topicWith("create", 3, map[string]string{"retention.ms": "3600000", "max.message.bytes": "500000"})
	if !slices.Contains(got(s.client.Topics()), topic) {
		fail("not listed")
	}
	same("retention.ms", got(s.client.TopicConfig(topic, "retention.ms")), "3600000")
	same("max.message.bytes", got(s.client.TopicConfig(topic, "max.message.bytes")), "500000")
	same("cleanup.policy", got(s.client.TopicConfig(topic, "cleanup.policy")), "delete")
}

func (s *scenarios) topicAlter() {
	topic := s.topicWith("alter", 1, map[string]string{"retention.ms": "3600000"})
	shows := func(want string) func() bool {
		return func() bool { return got(s.client.TopicConfig(topic, "max.message.bytes")) == want }
	}
	larger := "2000000"
	must(s.client.AlterConfig(topic, "max.message.bytes", &larger))
	until("the new value is not read back", 10, shows(larger))
	same("retention.ms", got(s.client.TopicConfig(topic, "retention.ms")), "3600000")
	must(s.client.AlterConfig(topic, "max.message.bytes", nil))
	until("the default does not come back", 10, shows("1048588"))
}

func (s *scenarios) topicPartitions() {
	topic := s.topic("grow", 2)
	must(s.client.AddPartitions(topic, 5))
	until("five partitions are not shown", 15, func() bool { return got(s.client.Partitions(topic)) == 5 })
	must(s.client.Produce(topic, []Record{{Value: []byte("new"), Partition: 4}}, Produce{}))
	same("record", string(got(s.client.Read(topic, 4, 0, 1))[0].Value), "new")
}

// topicDelete takes away all the topics of this run, so a suite leaves nothing behind.
func (s *scenarios) topicDelete() {
	for _, topic := range s.made {
		must(s.client.DeleteTopic(topic))
	}
	until("deleted topics are still listed", 15, func() bool {
		listed := got(s.client.Topics())
		return !slices.ContainsFunc(s.made, func(topic string) bool { return slices.Contains(listed, topic) })
	})
}

func (s *scenarios) errorTopicExists() {
	refuses(s.client.CreateTopic(s.topic("exists", 1), 1, nil), TopicExists)
}

func (s *scenarios) errorIllegalTopic() {
	refuses(s.client.CreateTopic("no spaces!", 1, nil), InvalidTopic)
}

func (s *scenarios) errorUnknownTopic() {
	refuses(s.client.DeleteTopic("interop-absent-"+s.runID), UnknownTopic)
}

func (s *scenarios) errorBadConfig() {
	name := "interop-bad-" + s.runID
	refuses(s.client.CreateTopic(name, 1, map[string]string{"retention.ms": "soon"}), InvalidConfig)
	refuses(s.client.CreateTopic(name, 1, map[string]string{"retention.moons": "3"}), InvalidConfig)
	if slices.Contains(got(s.client.Topics()), name) {
		fail("a refused topic is listed")
	}
	burn := "burn"
	refuses(s.client.AlterConfig(s.topic("bad-config", 1), "cleanup.policy", &burn), InvalidConfig)
}

func (s *scenarios) errorFewerPartitions() {
	refuses(s.client.AddPartitions(s.topic("fewer", 3), 2), InvalidPartitions)
}

func (s *scenarios) errorTooLarge() {
	topic := s.topic("too-large", 1)
	value := make([]byte, 2_000_000)
	rand.New(rand.NewSource(9)).Read(value)
	refuses(s.client.Produce(topic, []Record{{Value: value}}, Produce{}), MessageTooLarge)
	_, end, err := s.client.Bounds(topic, 0)
	must(err)
	same("end", end, 0)
}

func (s *scenarios) errorOffsetOutOfRange() {
	topic := s.topic("range", 1)
	must(s.client.Produce(topic, numbered(0, 1, 1), Produce{}))
	_, err := s.client.Read(topic, 0, 1000, 1)
	refuses(err, OffsetOutOfRange)
}

// errorUnknownMember: a commit without membership is refused while the group has members.
func (s *scenarios) errorUnknownMember() {
	topic, group := s.topic("outsider", 1), s.group("outsider")
	s.withMember(group, topic, func(member Member) {
		var seen []Record
		settle(&seen, "nothing assigned", func() bool { return len(member.Assignment()) == 1 }, member)
		refuses(s.client.CommitFromOutside(group, topic, 0, 5), UnknownMember, IllegalGeneration, RebalanceInProcess)
	})
}

type check struct {
	name string
	run  func()
}

func (s *scenarios) checks() []check {
	codecs := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	if quick {
		codecs = []string{"none", "snappy", "zstd"}
	}
	var checks []check
	for _, codec := range codecs {
		checks = append(checks, check{"roundtrip-" + codec, func() { s.roundtrip(codec) }})
	}
	checks = append(checks, check{"large-record", s.largeRecord}, check{"many-records", s.manyRecords})
	if _, lacks := s.client.(IdempotenceUnsupported); !lacks {
		checks = append(checks, check{"idempotent-producer", s.idempotentProducer})
	}
	return append(checks,
		check{"offsets", s.offsets}, check{"group-resume", s.groupResume}, check{"group-rebalance", s.groupRebalance},
		check{"topic-create", s.topicCreate}, check{"topic-alter", s.topicAlter}, check{"topic-partitions", s.topicPartitions},
		check{"error-topic-exists", s.errorTopicExists}, check{"error-illegal-topic", s.errorIllegalTopic},
		check{"error-unknown-topic", s.errorUnknownTopic}, check{"error-bad-config", s.errorBadConfig},
		check{"error-fewer-partitions", s.errorFewerPartitions}, check{"error-too-large", s.errorTooLarge},
		check{"error-offset-out-of-range", s.errorOffsetOutOfRange}, check{"error-unknown-member", s.errorUnknownMember},
		check{"topic-delete", s.topicDelete},
	)
}

// Run runs every check, or those named by ONLY, and exits.
func Run(client Adapter) {
	s := &scenarios{client: client, runID: fmt.Sprintf("%08x", rand.Uint32())}
	only := strings.Fields(os.Getenv("ONLY"))
	passed, failed := 0, 0
	for _, check := range s.checks() {
		if len(only) > 0 && !slices.Contains(only, check.name) && check.name != "topic-delete" {
			continue
		}
		if why := attempt(check.run); why == "" {
			fmt.Printf("%s %s PASS\n", client.Name(), check.name)
			passed++
		} else {
			fmt.Printf("%s %s FAIL %.300s\n", client.Name(), check.name, strings.Join(strings.Fields(why), " "))
			failed++
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
	os.Exit(0)
}

// attempt runs a check and says why it failed, or nothing. A check that hangs is left behind.
func attempt(run func()) string {
	done := make(chan string, 1)
	go func() {
		defer func() {
			switch problem := recover().(type) {
			case nil:
				done <- ""
			case fault:
				done <- problem.why
			default:
				done <- fmt.Sprint("panic: ", problem)
			}
		}()
		run()
	}()
	select {
	case why := <-done:
		return why
	case <-time.After(60 * time.Second):
		return "no end after 60 s"
	}
}

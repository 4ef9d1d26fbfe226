// The checks of ../README.md over Apache Kafka's own Java client. Started as a source file: `java -cp 'libs/*' Suite.java`.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.BooleanSupplier;
import java.util.function.IntFunction;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;

public class Suite {
    static final String BOOTSTRAP = Optional.ofNullable(System.getenv("BOOTSTRAP")).orElse("127.0.0.1:9092");
    static final boolean QUICK = !List.of("", "0").contains(Optional.ofNullable(System.getenv("QUICK")).orElse(""));
    static final int CHECK_SECONDS = 60;
    static final String RUN_ID = UUID.randomUUID().toString().substring(0, 8);
    static final List<String> made = new CopyOnWriteArrayList<>();
    static Admin admin;

    interface Check {
        void run() throws Exception;
    }

    // ---- saying what is wrong

    static void expect(boolean condition, String why) {
        if (!condition) throw new AssertionError(why);
    }

    static void same(String what, Object got, Object want) {
        expect(Objects.equals(got, want), what + ": got " + clip(got) + ", want " + clip(want));
    }

    static String clip(Object value) {
        String text = String.valueOf(value);
        return text.length() > 90 ? text.substring(0, 90) : text;
    }

    static void until(String what, int seconds, BooleanSupplier condition) throws InterruptedException {
        for (long end = System.nanoTime() + seconds * 1_000_000_000L; !condition.getAsBoolean(); Thread.sleep(100))
            expect(System.nanoTime() < end, what + " after " + seconds + " s");
    }

    static void refuses(Class<? extends Throwable> want, Check call) {
        try {
            call.run();
        } catch (Throwable thrown) {
            Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            expect(want.isInstance(cause), "refused with " + cause + ", want " + want.getSimpleName());
            return;
        }
        throw new AssertionError("nothing refused, want " + want.getSimpleName());
    }

    // ---- the client

    static String topic(String name, int partitions) throws Exception {
        return topic(name, partitions, Map.of());
    }

    static String topic(String name, int partitions, Map<String, String> configs) throws Exception {
        String full = "interop-java-" + name + "-" + RUN_ID;
        admin.createTopics(List.of(new NewTopic(full, partitions, (short) 1).configs(configs))).all().get();
        made.add(full);
        until(full + " does not show its partitions", 15, () -> partitions(full) == partitions);
        return full;
    }

    static String group(String name) {
        return "interop-java-" + name + "-" + RUN_ID;
    }

    static int partitions(String topic) {
        try {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
        } catch (ExecutionException absent) {
            return 0;
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    static String config(String topic, String key) {
        try {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(key).value();
        } catch (Exception problem) {
            throw new IllegalStateException(problem);
        }
    }

    static void alter(String topic, AlterConfigOp... changes) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(changes))).all().get();
    }

    static AlterConfigOp change(AlterConfigOp.OpType type, String key, String value) {
        return new AlterConfigOp(new ConfigEntry(key, value), type);
    }

    static ProducerRecord<byte[], byte[]> record(String topic, int partition, String value) {
        return new ProducerRecord<>(topic, partition, null, value.getBytes(StandardCharsets.UTF_8));
    }

    static List<ProducerRecord<byte[], byte[]>> numbered(String topic, int first, int end, int partitions) {
        return IntStream.range(first, end).mapToObj(i -> record(topic, i % partitions, Integer.toString(i))).toList();
    }

    static void produce(String codec, boolean idempotent, List<ProducerRecord<byte[], byte[]>> records) throws Exception {
        Map<String, Object> options = Map.of(
            "bootstrap.servers", BOOTSTRAP, "compression.type", codec, "enable.idempotence", idempotent, "acks", "all",
            "linger.ms", 20, "max.request.size", 8_000_000, "max.block.ms", 20_000, "delivery.timeout.ms", 30_000, "request.timeout.ms", 15_000);
        try (Producer<byte[], byte[]> producer = new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = records.stream().map(producer::send).toList();
            producer.flush();
            for (Future<RecordMetadata> one : sent) one.get();
        }
    }

    static Consumer<byte[], byte[]> consumer(String group, Map<String, Object> more) {
        Map<String, Object> options = new HashMap<>(Map.of(
            "bootstrap.servers", BOOTSTRAP, "enable.auto.commit", false, "auto.offset.reset", "earliest",
            "session.timeout.ms", 10_000, "heartbeat.interval.ms", 500, "default.api.timeout.ms", 20_000));
        if (group != null) options.put("group.id", group);
        options.putAll(more);
        return new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<ConsumerRecord<byte[], byte[]>> read(String topic, int partition, long offset, int count) {
        TopicPartition part = new TopicPartition(topic, partition);
        try (Consumer<byte[], byte[]> consumer = consumer(null, Map.of("auto.offset.reset", "none"))) {
            consumer.assign(List.of(part));
            consumer.seek(part, offset);
            return drain(consumer, count);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> drain(Consumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
        for (long end = System.nanoTime() + 30_000_000_000L; all.size() < count; ) {
            expect(System.nanoTime() < end, all.size() + " of " + count + " records in 30 s");
            consumer.poll(Duration.ofMillis(200)).forEach(all::add);
        }
        return all;
    }

    static long offset(String topic, OffsetSpec spec) throws Exception {
        TopicPartition part = new TopicPartition(topic, 0);
        return admin.listOffsets(Map.of(part, spec)).all().get().get(part).offset();
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.ISO_8859_1);
    }

    static List<String> values(List<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(record -> text(record.value())).toList();
    }

    static List<String> numbers(int first, int end) {
        return IntStream.range(first, end).mapToObj(Integer::toString).toList();
    }

    // ---- the checks

    static void roundtrip(String codec) throws Exception {
        String topic = topic("codec-" + codec, 1);
        long base = System.currentTimeMillis() - 60_000;
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int i = 0; i < (QUICK ? 40 : 200); i++) {
            byte[] key = i == 1 ? null : ("key " + i % 7).getBytes();
            byte[] value = i == 2 ? null : i == 4 ? new byte[0] : ("value " + i + "compressible ".repeat(20)).getBytes();
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, 0, base + i * 10, key, value);
            if (i % 3 == 0)
                record.headers().add("name", "one".getBytes()).add("name", "two".getBytes()).add("null", null)
                    .add("empty", new byte[0]).add("bytes", new byte[] {0, 1, -1});
            sent.add(record);
        }
        produce(codec, true, sent);
        List<ConsumerRecord<byte[], byte[]>> back = read(topic, 0, 0, sent.size());
        same("count", back.size(), sent.size());
        for (int i = 0; i < sent.size(); i++) {
            same("offset of record " + i, back.get(i).offset(), (long) i);
            same("key of record " + i, text(back.get(i).key()), text(sent.get(i).key()));
            same("value of record " + i, text(back.get(i).value()), text(sent.get(i).value()));
            same("timestamp of record " + i, back.get(i).timestamp(), sent.get(i).timestamp());
            same("headers of record " + i, headers(back.get(i).headers()), headers(sent.get(i).headers()));
        }
    }

    static List<String> headers(Iterable<Header> headers) {
        return StreamSupport.stream(headers.spliterator(), false).map(header -> header.key() + "=" + text(header.value())).toList();
    }

    static void largeRecord() throws Exception {
        String topic = topic("large", 1);
        byte[] value = new byte[900_000];
        new Random(7).nextBytes(value);
        produce("none", true, List.of(new ProducerRecord<>(topic, 0, "large".getBytes(), value), record(topic, 0, "after")));
        List<ConsumerRecord<byte[], byte[]>> back = read(topic, 0, 0, 2);
        expect(Arrays.equals(back.get(0).value(), value), "900000 bytes changed");
        same("the next record", text(back.get(1).value()), "after");
    }

    static void manyRecords() throws Exception {
        int count = QUICK ? 3_000 : 10_000;
        String topic = topic("many", 3);
        produce("lz4", true, numbered(topic, 0, count, 3));
        for (int partition = 0; partition < 3; partition++) {
            List<ConsumerRecord<byte[], byte[]>> back = read(topic, partition, 0, (count - partition + 2) / 3);
            for (int i = 0; i < back.size(); i++) {
                same("offset", back.get(i).offset(), (long) i);
                same("value", text(back.get(i).value()), Integer.toString(i * 3 + partition));
            }
        }
    }

    static void idempotentProducer() throws Exception {
        int count = QUICK ? 300 : 1_000;
        String topic = topic("idempotent", 1);
        produce("none", true, numbered(topic, 0, count, 1));
        same("values", values(read(topic, 0, 0, count)), numbers(0, count));
        String plain = topic("not-idempotent", 1);
        produce("none", false, numbered(plain, 0, count, 1));
        same("end", offset(plain, OffsetSpec.latest()), (long) count);
    }

    static void offsets() throws Exception {
        String topic = topic("offsets", 1);
        long base = System.currentTimeMillis() - 60_000;
        List<ProducerRecord<byte[], byte[]>> records =
            IntStream.range(0, 10).mapToObj(i -> new ProducerRecord<byte[], byte[]>(topic, 0, base + i * 1000L, null, ("" + i).getBytes())).toList();
        produce("gzip", true, records);
        same("earliest", offset(topic, OffsetSpec.earliest()), 0L);
        same("latest", offset(topic, OffsetSpec.latest()), 10L);
        same("of the largest timestamp", offset(topic, OffsetSpec.maxTimestamp()), 9L);
        same("at an exact time", offset(topic, OffsetSpec.forTimestamp(base + 4000)), 4L);
        same("between two", offset(topic, OffsetSpec.forTimestamp(base + 4500)), 5L);
        same("before all", offset(topic, OffsetSpec.forTimestamp(base - 1)), 0L);
        same("after all", offset(topic, OffsetSpec.forTimestamp(base + 60_000)), -1L);
        same("read from 7", values(read(topic, 0, 7, 3)), List.of("7", "8", "9"));
        TopicPartition part = new TopicPartition(topic, 0);
        same("low watermark", admin.deleteRecords(Map.of(part, RecordsToDelete.beforeOffset(6))).lowWatermarks().get(part).get().lowWatermark(), 6L);
        same("earliest after a deletion", offset(topic, OffsetSpec.earliest()), 6L);
    }

    static void groupResume() throws Exception {
        String topic = topic("resume", 1), group = group("resume");
        TopicPartition part = new TopicPartition(topic, 0);
        produce("none", true, numbered(topic, 0, 100, 1));
        try (Consumer<byte[], byte[]> consumer = consumer(group, Map.of())) {
            consumer.subscribe(List.of(topic));
            drain(consumer, 40);
            consumer.commitSync(Map.of(part, new OffsetAndMetadata(40, "half way")));
        }
        OffsetAndMetadata committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(part);
        same("committed", committed.offset() + " " + committed.metadata(), "40 half way");
        try (Consumer<byte[], byte[]> consumer = consumer(group, Map.of())) {
            consumer.subscribe(List.of(topic));
            same("rest", values(drain(consumer, 60)), numbers(40, 100));
        }
        admin.deleteConsumerGroups(List.of(group)).all().get();
        expect(admin.listGroups().all().get().stream().noneMatch(one -> one.groupId().equals(group)), "a deleted group is listed");
    }

    // A member polls on its own thread, as a program would, so that rebalances get on.
    static class Member implements AutoCloseable {
        final List<String> seen;
        final Set<Integer> owned = ConcurrentHashMap.newKeySet();
        final Thread thread;
        volatile boolean stop;
        volatile Throwable problem;

        Member(String group, String topic, List<String> seen, Map<String, Object> more) {
            this.seen = seen;
            thread = new Thread(() -> {
                try (Consumer<byte[], byte[]> consumer = consumer(group, more)) {
                    consumer.subscribe(List.of(topic));
                    while (!stop) {
                        consumer.poll(Duration.ofMillis(100)).forEach(record -> seen.add(text(record.value())));
                        owned.retainAll(consumer.assignment().stream().map(TopicPartition::partition).toList());
                        consumer.assignment().forEach(part -> owned.add(part.partition()));
                        if (!owned.isEmpty()) consumer.commitAsync();
                    }
                    consumer.commitSync();
                } catch (Throwable thrown) {
                    problem = thrown;
                }
            });
            thread.start();
        }

        @Override
        public void close() throws InterruptedException {
            stop = true;
            thread.join(20_000);
            expect(problem == null, "a member failed: " + problem);
        }
    }

    static void groupRebalance(String name, Map<String, Object> assignor) throws Exception {
        String topic = topic(name, 4), group = group(name);
        Set<Integer> all = Set.of(0, 1, 2, 3);
        List<String> seen = new CopyOnWriteArrayList<>();
        try (Member one = new Member(group, topic, seen, assignor)) {
            until("one member has not all partitions", 40, () -> one.owned.equals(all));
            try (Member two = new Member(group, topic, seen, assignor)) {
                until("two members do not share the partitions", 40, () -> {
                    Set<Integer> both = new HashSet<>(one.owned);
                    both.addAll(two.owned);
                    return both.equals(all) && one.owned.size() == 2 && two.owned.size() == 2;
                });
                produce("none", true, numbered(topic, 0, 200, 4));
                until("not all of 200 records came", 40, () -> seen.size() >= 200);
            }
            until("the partitions of a leaver stay away", 40, () -> one.owned.equals(all));
            produce("none", true, numbered(topic, 200, 240, 4));
            until("not all of 240 records came", 40, () -> seen.size() >= 240);
        }
        same("records", seen.stream().map(Integer::parseInt).sorted().map(String::valueOf).toList(), numbers(0, 240));
    }

    // A member with a name of its own comes back within its session to the same partitions without a rebalance.
    static void groupStaticMember() throws Exception {
        String topic = topic("static", 2), group = group("static");
        List<String> seen = new CopyOnWriteArrayList<>();
        Map<String, Object> named = Map.of("group.instance.id", "instance-1", "session.timeout.ms", 20_000);
        try (Member one = new Member(group, topic, seen, named)) {
            until("nothing assigned", 40, () -> one.owned.size() == 2);
        }
        var described = admin.describeClassicGroups(List.of(group)).all().get().get(group);
        same("members after leaving", described.members().stream().map(member -> member.groupInstanceId().orElse("")).toList(), List.of("instance-1"));
        try (Member again = new Member(group, topic, seen, named)) {
            until("nothing assigned to the member that came back", 15, () -> again.owned.size() == 2);
        }
        admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all().get();
        same("members after removal", admin.describeClassicGroups(List.of(group)).all().get().get(group).members().size(), 0);
    }

    static void topicCreate() throws Exception {
        String topic = topic("create", 3, Map.of("retention.ms", "3600000", "max.message.bytes", "500000"));
        expect(admin.listTopics().names().get().contains(topic), "not listed");
        same("retention.ms", config(topic, "retention.ms"), "3600000");
        same("max.message.bytes", config(topic, "max.message.bytes"), "500000");
        same("cleanup.policy", config(topic, "cleanup.policy"), "delete");
        String checked = "interop-java-only-checked-" + RUN_ID;
        admin.createTopics(List.of(new NewTopic(checked, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
        expect(!admin.listTopics().names().get().contains(checked), "a topic that was only to be validated is listed");
    }

    static void topicAlter() throws Exception {
        String topic = topic("alter", 1, Map.of("retention.ms", "3600000"));
        alter(topic, change(AlterConfigOp.OpType.SET, "max.message.bytes", "2000000"), change(AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact"));
        until("the new value is not read back", 10, () -> config(topic, "max.message.bytes").equals("2000000"));
        until("the appended value is not read back", 10, () -> config(topic, "cleanup.policy").equals("delete,compact"));
        alter(topic, change(AlterConfigOp.OpType.DELETE, "max.message.bytes", null), change(AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete"));
        until("the default does not come back", 10, () -> config(topic, "max.message.bytes").equals("1048588"));
        until("the subtracted value stays", 10, () -> config(topic, "cleanup.policy").equals("compact"));
        same("retention.ms", config(topic, "retention.ms"), "3600000");
    }

    static void topicPartitions() throws Exception {
        String topic = topic("grow", 2);
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        until("five partitions are not shown", 15, () -> partitions(topic) == 5);
        produce("none", true, List.of(record(topic, 4, "new")));
        same("record", values(read(topic, 4, 0, 1)), List.of("new"));
    }

    // All the topics of this run go, so the suite leaves nothing behind.
    static void topicDelete() throws Exception {
        admin.deleteTopics(made).all().get();
        until("deleted topics are still listed", 15, () -> {
            try {
                return Collections.disjoint(admin.listTopics().names().get(), made);
            } catch (Exception problem) {
                throw new IllegalStateException(problem);
            }
        });
    }

    static void errorTopicExists() throws Exception {
        String topic = topic("exists", 1);
        refuses(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get());
    }

    static void errorIllegalTopic() {
        refuses(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("no spaces!", 1, (short) 1))).all().get());
    }

    static void errorUnknownTopic() {
        String absent = "interop-absent-" + RUN_ID;
        refuses(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(absent)).all().get());
        refuses(UnknownTopicOrPartitionException.class, () -> admin.describeTopics(List.of(absent)).allTopicNames().get());
    }

    static void errorBadConfig() throws Exception {
        String name = "interop-bad-" + RUN_ID;
        NewTopic bad = new NewTopic(name, 1, (short) 1);
        refuses(InvalidConfigurationException.class, () -> admin.createTopics(List.of(bad.configs(Map.of("retention.ms", "soon")))).all().get());
        refuses(InvalidConfigurationException.class, () -> admin.createTopics(List.of(bad.configs(Map.of("retention.moons", "3")))).all().get());
        refuses(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 9))).all().get());
        expect(!admin.listTopics().names().get().contains(name), "a refused topic is listed");
        String topic = topic("bad-config", 1);
        refuses(InvalidConfigurationException.class, () -> alter(topic, change(AlterConfigOp.OpType.SET, "cleanup.policy", "burn")));
    }

    static void errorFewerPartitions() throws Exception {
        String topic = topic("fewer", 3);
        refuses(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
    }

    static void errorTooLarge() throws Exception {
        String topic = topic("too-large", 1);
        byte[] value = new byte[2_000_000];
        new Random(9).nextBytes(value);
        refuses(RecordTooLargeException.class, () -> produce("none", true, List.of(new ProducerRecord<>(topic, 0, null, value))));
        same("end", offset(topic, OffsetSpec.latest()), 0L);
    }

    static void errorOffsetOutOfRange() throws Exception {
        String topic = topic("range", 1);
        produce("none", true, List.of(record(topic, 0, "only")));
        refuses(org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class, () -> read(topic, 0, 1000, 1));
    }

    // A commit without membership, or under a generation that is over, is refused while the group has members.
    static void errorUnknownMember() throws Exception {
        String topic = topic("outsider", 1), group = group("outsider");
        TopicPartition part = new TopicPartition(topic, 0);
        Map<TopicPartition, OffsetAndMetadata> commit = Map.of(part, new OffsetAndMetadata(5));
        try (Member member = new Member(group, topic, new CopyOnWriteArrayList<>(), Map.of())) {
            until("nothing assigned", 40, () -> member.owned.size() == 1);
            refuses(UnknownMemberIdException.class, () -> admin.alterConsumerGroupOffsets(group, commit).all().get());
            refuses(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            try (Consumer<byte[], byte[]> outsider = consumer(group, Map.of())) {
                outsider.assign(List.of(part));
                refuses(CommitFailedException.class, () -> outsider.commitSync(commit));
            }
        }
    }

    // ---- running them

    static Map<String, Check> checks() {
        Map<String, Check> checks = new LinkedHashMap<>();
        for (String codec : QUICK ? List.of("none", "snappy", "zstd") : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            checks.put("roundtrip-" + codec, () -> roundtrip(codec));
        checks.put("large-record", Suite::largeRecord);
        checks.put("many-records", Suite::manyRecords);
        checks.put("idempotent-producer", Suite::idempotentProducer);
        checks.put("offsets", Suite::offsets);
        checks.put("group-resume", Suite::groupResume);
        checks.put("group-rebalance", () -> groupRebalance("rebalance", Map.of()));
        checks.put("group-rebalance-cooperative", () -> groupRebalance("cooperative",
            Map.of("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor")));
        checks.put("group-static-member", Suite::groupStaticMember);
        checks.put("topic-create", Suite::topicCreate);
        checks.put("topic-alter", Suite::topicAlter);
        checks.put("topic-partitions", Suite::topicPartitions);
        checks.put("error-topic-exists", Suite::errorTopicExists);
        checks.put("error-illegal-topic", Suite::errorIllegalTopic);
        checks.put("error-unknown-topic", Suite::errorUnknownTopic);
        checks.put("error-bad-config", Suite::errorBadConfig);
        checks.put("error-fewer-partitions", Suite::errorFewerPartitions);
        checks.put("error-too-large", Suite::errorTooLarge);
        checks.put("error-offset-out-of-range", Suite::errorOffsetOutOfRange);
        checks.put("error-unknown-member", Suite::errorUnknownMember);
        checks.put("topic-delete", Suite::topicDelete);
        return checks;
    }

    public static void main(String[] arguments) {
        admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP, "default.api.timeout.ms", 20_000, "request.timeout.ms", 15_000));
        Set<String> only = Arrays.stream(Optional.ofNullable(System.getenv("ONLY")).orElse("").split("\\s+")).filter(name -> !name.isEmpty()).collect(Collectors.toSet());
        ExecutorService threads = Executors.newCachedThreadPool(run -> {
            Thread thread = new Thread(run);
            thread.setDaemon(true);
            return thread;
        });
        int passed = 0, failed = 0;
        for (var check : checks().entrySet()) {
            if (!only.isEmpty() && !only.contains(check.getKey()) && !check.getKey().equals("topic-delete")) continue;
            Future<?> running = threads.submit(() -> {
                check.getValue().run();
                return null;
            });
            String why = null;
            try {
                running.get(CHECK_SECONDS, TimeUnit.SECONDS);
            } catch (java.util.concurrent.TimeoutException late) {
                why = "no end after " + CHECK_SECONDS + " s";
                running.cancel(true);
            } catch (ExecutionException thrown) {
                why = String.valueOf(thrown.getCause());
                if (System.getenv("TRACE") != null) thrown.getCause().printStackTrace();
            } catch (InterruptedException interrupted) {
                why = "interrupted";
            }
            if (why == null) passed++;
            else failed++;
            System.out.println("java " + check.getKey() + (why == null ? " PASS" : " FAIL " + clipped(why)));
        }
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    static String clipped(String why) {
        String line = why.replaceAll("\\s+", " ");
        return line.length() > 300 ? line.substring(0, 300) : line;
    }
}

"""The checks over kafka-python."""

import logging
import queue
import re
import sys
import threading
import time
from concurrent.futures import Future

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType
from kafka.errors import CommitFailedError, KafkaError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata
from scenarios import BOOTSTRAP, Adapter, Member, Record, Refused, run, until

logging.disable(logging.CRITICAL)
NAMES = {
    36: "TOPIC_ALREADY_EXISTS", 17: "INVALID_TOPIC_EXCEPTION", 3: "UNKNOWN_TOPIC_OR_PARTITION", 40: "INVALID_CONFIG",
    37: "INVALID_PARTITIONS", 10: "MESSAGE_TOO_LARGE", 1: "OFFSET_OUT_OF_RANGE", 25: "UNKNOWN_MEMBER_ID",
}


def translated(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)
    except CommitFailedError as error:
        raise Refused("UNKNOWN_MEMBER_ID", str(error)[:100]) from error
    except KafkaError as error:
        code = getattr(error, "errno", None)
        raise Refused(NAMES.get(code, f"{type(error).__name__}({code})"), str(error)) from error


class KafkaPython(Adapter):
    name = "kafka-python"
    null_headers = False

    def __init__(self):
        self.admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)

    def create_topic(self, topic, partitions, configs):
        wanted = {topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}}
        translated(self.admin.create_topics, wanted)

    def delete_topic(self, topic):
        translated(self.admin.delete_topics, [topic])

    def topics(self):
        return set(self.admin.list_topics())

    def partitions(self, topic):
        found = self.admin.describe_topics([topic])
        return len(found[0]["partitions"]) if found and not found[0]["error_code"] else 0

    def add_partitions(self, topic, total):
        translated(self.admin.create_partitions, {topic: total})

    def topic_config(self, topic, key):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = translated(self.admin.describe_configs, [resource], config_filter="all")
        return found["topic"][topic][key]["value"]

    def alter(self, topic, change):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=change)
        # An error per resource comes back as the text of the exception.
        answer = str(translated(self.admin.alter_configs, [resource])["topic"][topic])
        code = re.match(r"\[Error (\d+)\]", answer)
        if code:
            raise Refused(NAMES.get(int(code[1]), answer), answer)

    def set_config(self, topic, key, value):
        self.alter(topic, {key: value})

    def unset_config(self, topic, key):
        self.alter(topic, {key: (AlterConfigOp.DELETE, None)})

    def produce(self, topic, records, codec="none", idempotent=False):
        producer = KafkaProducer(
            bootstrap_servers=BOOTSTRAP, compression_type=None if codec == "none" else codec, acks="all",
            enable_idempotence=idempotent, linger_ms=20, max_request_size=8_000_000,
        )
        try:
            sent = [
                producer.send(topic, record.value, record.key, record.headers or None, record.partition, record.timestamp)
                for record in records
            ]
            producer.flush(30)
            for future in sent:
                translated(future.get, 30)
        finally:
            producer.close(5)

    def consumer(self, group=None, **more):
        return KafkaConsumer(
            bootstrap_servers=BOOTSTRAP, group_id=group, enable_auto_commit=False, heartbeat_interval_ms=500,
            session_timeout_ms=10_000, **{"auto_offset_reset": "earliest", **more},
        )

    def read(self, topic, partition, count, offset=0):
        consumer, part, got = self.consumer(auto_offset_reset="none"), TopicPartition(topic, partition), []
        try:
            consumer.assign([part])
            consumer.seek(part, offset)
            end = time.monotonic() + 30
            while len(got) < count and time.monotonic() < end:
                got += poll(consumer, 0.2)
            return got[:count]
        except OffsetOutOfRangeError as error:
            raise Refused("OFFSET_OUT_OF_RANGE") from error
        finally:
            consumer.close()

    def bounds(self, topic, partition):
        consumer, part = self.consumer(), TopicPartition(topic, partition)
        try:
            return consumer.beginning_offsets([part])[part], consumer.end_offsets([part])[part]
        finally:
            consumer.close()

    def offset_at(self, topic, partition, timestamp):
        consumer, part = self.consumer(), TopicPartition(topic, partition)
        try:
            found = consumer.offsets_for_times({part: timestamp})[part]
            return found.offset if found else None
        finally:
            consumer.close()

    def member(self, group, topic):
        return KafkaPythonMember(self.consumer(group), topic)

    def commit_from_outside(self, group, topic, partition, offset):
        consumer, part = self.consumer(group), TopicPartition(topic, partition)
        try:
            consumer.assign([part])
            translated(consumer.commit, {part: OffsetAndMetadata(offset, "", -1)}, timeout_ms=10_000)
        finally:
            consumer.close(autocommit=False)

    def close(self):
        self.admin.close()


def poll(consumer, seconds):
    return [
        Record(r.value, r.key, r.timestamp, list(r.headers), r.partition, r.offset)
        for records in consumer.poll(int(seconds * 1000)).values()
        for r in records
    ]


class KafkaPythonMember(Member):
    """Polls on a thread of its own, as a program would. The client forgets an assignment that comes between two polls and
    joins anew, on every broker: members polled in turn by one thread keep sending each other back. And it joins without
    knowing the topic, gets nothing, and may forget the second join's assignment for good, so the topic is known first."""

    def __init__(self, consumer, topic):
        self.consumer, self.topic = consumer, topic
        self.records, self.calls, self.owned, self.problem = queue.Queue(), queue.Queue(), set(), None
        self.stop = threading.Event()
        consumer.subscribe([topic])
        until(lambda: consumer.partitions_for_topic(topic), 15, f"the client does not learn of {topic}")
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        """Polls until told to stop; what others want of the consumer is done between two polls."""
        try:
            while not self.stop.is_set():
                for record in poll(self.consumer, 0.5):
                    self.records.put(record)
                self.owned = {part.partition for part in self.consumer.assignment()}
                while not self.calls.empty():
                    self.calls.get()()
        except Exception as error:  # noqa: BLE001: told to whoever polls next
            self.problem = error

    def on_thread(self, call, *args):
        done = Future()

        def answer():
            try:
                done.set_result(translated(call, *args))
            except Exception as error:  # noqa: BLE001: raised where the result is asked for
                done.set_exception(error)

        self.calls.put(answer)
        return done.result(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(20)
        self.consumer.close(autocommit=False)

    def poll(self, seconds, at_most=None):
        if self.problem:
            raise self.problem
        got = []
        try:
            got.append(self.records.get(timeout=seconds))
            while True:
                got.append(self.records.get_nowait())
        except queue.Empty:
            return got

    def assignment(self):
        return self.owned

    def commit(self, offsets):
        if offsets:
            offsets = {TopicPartition(self.topic, p): OffsetAndMetadata(at, "", -1) for p, at in offsets.items()}
        self.on_thread(self.consumer.commit, offsets)

    def committed(self, partition):
        return self.on_thread(self.consumer.committed, TopicPartition(self.topic, partition))


sys.exit(run(KafkaPython()))

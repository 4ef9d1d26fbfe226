"""The checks over confluent-kafka (librdkafka under Python)."""

import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, ResourceType,
)
from scenarios import BOOTSTRAP, Adapter, Member, Record, Refused, run


def refused(error):
    """librdkafka's name of an error code is Kafka's, save for a few short forms."""
    kafka = {
        "TOPIC_EXCEPTION": "INVALID_TOPIC_EXCEPTION", "MSG_SIZE_TOO_LARGE": "MESSAGE_TOO_LARGE",
        "UNKNOWN_TOPIC_OR_PART": "UNKNOWN_TOPIC_OR_PARTITION",
        # What the client makes of OFFSET_OUT_OF_RANGE when it may not reset.
        "_AUTO_OFFSET_RESET": "OFFSET_OUT_OF_RANGE" if "Offset out of range" in error.str() else "_AUTO_OFFSET_RESET",
    }
    return Refused(kafka.get(error.name(), error.name()), error.str())


def result(futures):
    for future in futures.values():
        try:
            return future.result()
        except KafkaException as error:
            raise refused(error.args[0]) from error


class ConfluentKafka(Adapter):
    name = "confluent-kafka"

    def __init__(self):
        self.admin = AdminClient({"bootstrap.servers": BOOTSTRAP})

    def create_topic(self, topic, partitions, configs):
        result(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs)]))

    def delete_topic(self, topic):
        result(self.admin.delete_topics([topic]))

    def topics(self):
        return set(self.admin.list_topics(timeout=10).topics)

    def partitions(self, topic):
        found = self.admin.list_topics(timeout=10).topics.get(topic)
        return len(found.partitions) if found else 0

    def add_partitions(self, topic, total):
        result(self.admin.create_partitions([NewPartitions(topic, total)]))

    def topic_config(self, topic, key):
        return result(self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))[key].value

    def alter(self, topic, key, value, operation):
        entry = ConfigEntry(key, value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        result(self.admin.incremental_alter_configs([resource]))

    def set_config(self, topic, key, value):
        self.alter(topic, key, value, AlterConfigOpType.SET)

    def unset_config(self, topic, key):
        self.alter(topic, key, None, AlterConfigOpType.DELETE)

    def produce(self, topic, records, codec="none", idempotent=False):
        errors = []
        producer = Producer({
            "bootstrap.servers": BOOTSTRAP, "compression.type": codec, "enable.idempotence": idempotent,
            "acks": "all", "linger.ms": 20, "message.max.bytes": 8_000_000, "message.timeout.ms": 20_000,
        })
        for record in records:
            producer.produce(
                topic, record.value, record.key, record.partition, timestamp=record.timestamp or 0,
                headers=record.headers or None, on_delivery=lambda error, _: error and errors.append(error),
            )
            producer.poll(0)
        left = producer.flush(30)
        if errors:
            raise refused(errors[0])
        if left:
            raise AssertionError(f"{left} records not delivered after 30 s")

    def consumer(self, group, **more):
        return Consumer({
            "bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "session.timeout.ms": 10_000, "heartbeat.interval.ms": 500, **more,
        })

    def read(self, topic, partition, count, offset=0):
        consumer = self.consumer("unused", **{"auto.offset.reset": "error"})
        try:
            consumer.assign([TopicPartition(topic, partition, offset)])
            return poll(consumer, 30, count)[:count]
        finally:
            consumer.close()

    def bounds(self, topic, partition):
        consumer = self.consumer("unused")
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        finally:
            consumer.close()

    def offset_at(self, topic, partition, timestamp):
        consumer = self.consumer("unused")
        try:
            found = consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=10)[0].offset
            return found if found >= 0 else None
        finally:
            consumer.close()

    def member(self, group, topic):
        return ConfluentMember(self.consumer(group), topic)

    def commit_from_outside(self, group, topic, partition, offset):
        consumer = self.consumer(group)
        try:
            done = consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
            if done and done[0].error:
                raise refused(done[0].error)
        except KafkaException as error:
            raise refused(error.args[0]) from error
        finally:
            consumer.close()


def poll(consumer, seconds, at_most=1000):
    """At most so many records, or those that come in so many seconds."""
    got, end = [], time.monotonic() + seconds
    while len(got) < at_most and time.monotonic() < end:
        for message in consumer.consume(at_most - len(got), 0.1):
            if message.error():
                raise refused(message.error())
            got.append(Record(
                message.value(), message.key(), message.timestamp()[1], message.headers() or [],
                message.partition(), message.offset(),
            ))
    return got


class ConfluentMember(Member):
    def __init__(self, consumer, topic):
        self.consumer, self.topic = consumer, topic
        consumer.subscribe([topic])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.consumer.close()

    def poll(self, seconds, at_most=1000):
        return poll(self.consumer, seconds, at_most)

    def assignment(self):
        return {part.partition for part in self.consumer.assignment()}

    def commit(self, offsets):
        parts = [TopicPartition(self.topic, partition, offset) for partition, offset in (offsets or {}).items()]
        try:
            self.consumer.commit(**({"offsets": parts} if parts else {}), asynchronous=False)
        except KafkaException as error:
            if error.args[0].name() != "_NO_OFFSET":
                raise refused(error.args[0]) from error

    def committed(self, partition):
        return self.consumer.committed([TopicPartition(self.topic, partition)], timeout=10)[0].offset


sys.exit(run(ConfluentKafka()))

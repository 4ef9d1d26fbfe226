"""The checks over aiokafka. The event loop runs on its own thread, so that group members stay alive between calls."""

import asyncio
import logging
import sys
import threading
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, OffsetOutOfRangeError, for_code
from aiokafka.structs import OffsetAndMetadata
from scenarios import BOOTSTRAP, Adapter, Member, Record, Refused, run

logging.disable(logging.CRITICAL)
NAMES = {
    36: "TOPIC_ALREADY_EXISTS", 17: "INVALID_TOPIC_EXCEPTION", 3: "UNKNOWN_TOPIC_OR_PARTITION", 40: "INVALID_CONFIG",
    37: "INVALID_PARTITIONS", 10: "MESSAGE_TOO_LARGE", 1: "OFFSET_OUT_OF_RANGE", 25: "UNKNOWN_MEMBER_ID",
}
TOPIC_CONFIG = 1  # the config source of a value set on the topic itself

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


def wait(coroutine):
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except (CommitFailedError, IllegalGenerationError) as error:
        raise Refused("UNKNOWN_MEMBER_ID", str(error)) from error
    except OffsetOutOfRangeError as error:
        raise Refused("OFFSET_OUT_OF_RANGE", str(error)) from error
    except KafkaError as error:
        code = getattr(error, "errno", None)
        raise Refused(NAMES.get(code, f"{type(error).__name__}({code})"), str(error)) from error
    finally:
        future.cancel()


def checked(code, detail=""):
    if code:
        raise Refused(NAMES.get(code, for_code(code).__name__), detail or "")


class AioKafka(Adapter):
    name = "aiokafka"

    def __init__(self):
        async def start():
            admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
            await admin.start()
            return admin

        self.admin = wait(start())

    def create_topic(self, topic, partitions, configs):
        answer = wait(self.admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)]))
        checked(*answer.topic_errors[0][1:3])

    def delete_topic(self, topic):
        checked(wait(self.admin.delete_topics([topic])).topic_error_codes[0][1])

    def topics(self):
        return set(wait(self.admin.list_topics()))

    def partitions(self, topic):
        found = wait(self.admin.describe_topics([topic]))[0]
        return 0 if found["error_code"] else len(found["partitions"])

    def add_partitions(self, topic, total):
        wait(self.admin.create_partitions({topic: NewPartitions(total)}))

    def configs(self, topic):
        answer = wait(self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))[0]
        code, message, _kind, _name, entries = answer.resources[0]
        checked(code, message)
        return {entry[0]: (entry[1], entry[3]) for entry in entries}

    def topic_config(self, topic, key):
        return self.configs(topic)[key][0]

    def alter(self, topic, configs):
        """AlterConfigs as it was before KIP-339: what is not named goes back to its default."""
        answer = wait(self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)]))[0]
        checked(*answer.resources[0][:2])

    def own_configs(self, topic):
        return {key: value for key, (value, source) in self.configs(topic).items() if source == TOPIC_CONFIG}

    def set_config(self, topic, key, value):
        self.alter(topic, {**self.own_configs(topic), key: value})

    def unset_config(self, topic, key):
        self.alter(topic, {k: v for k, v in self.own_configs(topic).items() if k != key})

    def produce(self, topic, records, codec="none", idempotent=False):
        async def send():
            producer = AIOKafkaProducer(
                bootstrap_servers=BOOTSTRAP, compression_type=None if codec == "none" else codec, acks="all",
                enable_idempotence=idempotent, linger_ms=20, max_request_size=8_000_000,
            )
            await producer.start()
            try:
                sent = [
                    await producer.send(
                        topic, record.value, record.key, record.partition, record.timestamp, record.headers or None
                    )
                    for record in records
                ]
                await asyncio.gather(*sent)
            finally:
                await producer.stop()

        wait(send())

    async def consumer(self, group=None, **more):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=BOOTSTRAP, group_id=group, enable_auto_commit=False, heartbeat_interval_ms=500,
            session_timeout_ms=10_000, **{"auto_offset_reset": "earliest", **more},
        )
        await consumer.start()
        return consumer

    def with_consumer(self, use, **options):
        async def go():
            consumer = await self.consumer(**options)
            try:
                return await use(consumer)
            finally:
                await consumer.stop()

        return wait(go())

    def read(self, topic, partition, count, offset=0):
        part = TopicPartition(topic, partition)

        async def use(consumer):
            consumer.assign([part])
            consumer.seek(part, offset)
            got, end = [], time.monotonic() + 30
            while len(got) < count and time.monotonic() < end:
                got += await poll(consumer, 0.2)
            return got[:count]

        return self.with_consumer(use, auto_offset_reset="none")

    def bounds(self, topic, partition):
        part = TopicPartition(topic, partition)

        async def use(consumer):
            return (await consumer.beginning_offsets([part]))[part], (await consumer.end_offsets([part]))[part]

        return self.with_consumer(use)

    def offset_at(self, topic, partition, timestamp):
        part = TopicPartition(topic, partition)

        async def use(consumer):
            found = (await consumer.offsets_for_times({part: timestamp}))[part]
            return found.offset if found else None

        return self.with_consumer(use)

    def member(self, group, topic):
        async def join():
            consumer = await self.consumer(group)
            consumer.subscribe([topic])
            return consumer

        return AioKafkaMember(wait(join()), topic)

    def commit_from_outside(self, group, topic, partition, offset):
        part = TopicPartition(topic, partition)

        async def use(consumer):
            consumer.assign([part])
            await consumer.commit({part: OffsetAndMetadata(offset, "")})

        self.with_consumer(use, group=group)

    def close(self):
        wait(self.admin.close())


async def poll(consumer, seconds):
    batches = await consumer.getmany(timeout_ms=int(seconds * 1000))
    return [
        Record(r.value, r.key, r.timestamp, list(r.headers), r.partition, r.offset)
        for records in batches.values()
        for r in records
    ]


class AioKafkaMember(Member):
    def __init__(self, consumer, topic):
        self.consumer, self.topic = consumer, topic

    def __enter__(self):
        return self

    def __exit__(self, *_):
        wait(self.consumer.stop())

    def poll(self, seconds, at_most=None):
        return wait(poll(self.consumer, seconds))

    def assignment(self):
        return {part.partition for part in self.consumer.assignment()}

    def commit(self, offsets):
        if offsets:
            offsets = {TopicPartition(self.topic, p): OffsetAndMetadata(at, "") for p, at in offsets.items()}
        wait(self.consumer.commit(offsets))

    def committed(self, partition):
        return wait(self.consumer.committed(TopicPartition(self.topic, partition)))


sys.exit(run(AioKafka()))

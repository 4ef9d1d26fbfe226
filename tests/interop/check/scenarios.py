"""The checks of README.md in the order they run, over an adapter for one Python client.

An adapter is a class with the methods of `Adapter`. It says nothing about what is right: it does the calls and hands
back what the client saw, and the checks compare. `run` prints a line per check and returns the exit status.
"""

import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field

QUICK = os.environ.get("QUICK", "") not in ("", "0")
BOOTSTRAP = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@dataclass
class Record:
    """What is produced, and what must come back."""

    value: bytes | None
    key: bytes | None = None
    timestamp: int | None = None
    headers: list = field(default_factory=list)
    partition: int = 0
    offset: int | None = None


class Refused(Exception):
    """The broker said no: Kafka's name of the error."""

    def __init__(self, code, detail=""):
        super().__init__(f"{code} {detail}")
        self.code = code


class Adapter:
    """One client. Everything raises `Refused` when the broker answers an error."""

    name = "?"
    null_headers = True  # kafka-python cannot send a header without a value

    def create_topic(self, topic, partitions, configs): ...
    def delete_topic(self, topic): ...
    def topics(self): ...
    def partitions(self, topic): ...
    def add_partitions(self, topic, total): ...
    def topic_config(self, topic, key): ...
    def set_config(self, topic, key, value): ...
    def unset_config(self, topic, key): ...
    def produce(self, topic, records, codec="none", idempotent=False): ...
    def read(self, topic, partition, count, offset=0): ...
    def bounds(self, topic, partition): ...
    def offset_at(self, topic, partition, timestamp): ...
    def member(self, group, topic): ...
    def commit_from_outside(self, group, topic, partition, offset): ...
    def close(self): ...


class Member:
    """One consumer of a group that subscribes, commits only when told, and starts at the earliest offset."""

    def poll(self, seconds, at_most=None): ...
    def assignment(self): ...
    def commit(self, offsets): ...
    def committed(self, partition): ...
    def close(self): ...


class TimedOut(Exception):
    pass


def expect(condition, why):
    if not condition:
        raise AssertionError(why)


def same(name, got, want):
    expect(got == want, f"{name}: got {str(got)[:90]}, want {str(want)[:90]}")


def refuses(call, *codes):
    try:
        call()
    except Refused as refused:
        expect(refused.code in codes, f"refused with {refused}, want {'/'.join(codes)}")
        return
    raise AssertionError(f"nothing refused, want {'/'.join(codes)}")


class Scenarios:
    def __init__(self, client):
        self.client = client
        self.made = []
        self.run_id = f"{random.randrange(16**8):08x}"

    def topic(self, name, partitions=1, configs=None):
        full = f"interop-{self.client.name}-{name}-{self.run_id}"
        self.client.create_topic(full, partitions, configs or {})
        self.made.append(full)
        until(lambda: self.client.partitions(full) == partitions, 15, f"{full} does not show {partitions} partitions")
        return full

    def group(self, name):
        return f"interop-{self.client.name}-{name}-{self.run_id}"

    def roundtrip(self, codec):
        topic = self.topic(f"codec-{codec}")
        sent = mixed_records(40 if QUICK else 200, self.client.null_headers)
        self.client.produce(topic, sent, codec)
        same_records(self.client.read(topic, 0, len(sent)), sent)

    def large_record(self):
        topic = self.topic("large")
        value = random.Random(7).randbytes(900_000)
        self.client.produce(topic, [Record(value, key=b"large"), Record(b"after")])
        first, second = self.client.read(topic, 0, 2)
        expect(first.value == value, f"900000 bytes came back as {len(first.value)} or changed")
        same("the next record", second.value, b"after")

    def many_records(self):
        count, partitions = (3_000 if QUICK else 10_000), 3
        topic = self.topic("many", partitions)
        sent = [Record(b"value %d" % i, key=b"key %d" % (i % 97), partition=i % partitions) for i in range(count)]
        self.client.produce(topic, sent, "lz4")
        for partition in range(partitions):
            mine = [record for record in sent if record.partition == partition]
            got = self.client.read(topic, partition, len(mine))
            same(f"offsets of {partition}", [record.offset for record in got], list(range(len(mine))))
            same(f"values of {partition}", [record.value for record in got], [record.value for record in mine])

    def idempotent_producer(self):
        topic = self.topic("idempotent")
        sent = [Record(b"%d" % i) for i in range(300 if QUICK else 1000)]
        self.client.produce(topic, sent, idempotent=True)
        same("values", [record.value for record in self.client.read(topic, 0, len(sent))], [r.value for r in sent])
        same("bounds", self.client.bounds(topic, 0), (0, len(sent)))

    def offsets(self):
        topic = self.topic("offsets")
        base = int(time.time() * 1000) - 60_000
        self.client.produce(topic, [Record(b"%d" % i, timestamp=base + i * 1000) for i in range(10)], "gzip")
        same("bounds", self.client.bounds(topic, 0), (0, 10))
        same("at an exact time", self.client.offset_at(topic, 0, base + 4000), 4)
        same("between two", self.client.offset_at(topic, 0, base + 4500), 5)
        same("before all", self.client.offset_at(topic, 0, base - 1), 0)
        same("after all", self.client.offset_at(topic, 0, base + 60_000), None)
        same("read from 7", [r.value for r in self.client.read(topic, 0, 3, offset=7)], [b"7", b"8", b"9"])

    def group_resume(self):
        topic, group = self.topic("resume"), self.group("resume")
        self.client.produce(topic, [Record(b"%d" % i) for i in range(100)])
        with self.client.member(group, topic) as member:
            first = drain(member, 40)
            member.commit({0: first[39].offset + 1})
            same("committed", member.committed(0), 40)
        with self.client.member(group, topic) as member:
            rest = drain(member, 60)
        same("resumed at", rest[0].offset, 40)
        same("rest", [record.value for record in rest[:60]], [b"%d" % i for i in range(40, 100)])

    def group_rebalance(self):
        topic, group = self.topic("rebalance", 4), self.group("rebalance")
        seen = []
        with self.client.member(group, topic) as one:
            settle([one], seen, lambda: one.assignment() == {0, 1, 2, 3}, "one member has not all partitions")
            with self.client.member(group, topic) as two:
                both = [one, two]
                settle(both, seen, lambda: shared(one, two), "two members do not share the partitions")
                self.client.produce(topic, [Record(b"%d" % i, partition=i % 4) for i in range(200)])
                settle(both, seen, lambda: len(seen) >= 200, lambda: f"{len(seen)} of 200 records came")
                for member in both:
                    member.commit(None)
            settle([one], seen, lambda: one.assignment() == {0, 1, 2, 3}, "the partitions of a leaver stay away")
            self.client.produce(topic, [Record(b"%d" % i, partition=i % 4) for i in range(200, 240)])
            settle([one], seen, lambda: len(seen) >= 240, lambda: f"{len(seen)} of 240 records came")
        same("records", sorted(int(record.value) for record in seen), list(range(240)))

    def topic_create(self):
        topic = self.topic("create", 3, {"retention.ms": "3600000", "max.message.bytes": "500000"})
        expect(topic in self.client.topics(), "not listed")
        same("partitions", self.client.partitions(topic), 3)
        same("retention.ms", self.client.topic_config(topic, "retention.ms"), "3600000")
        same("max.message.bytes", self.client.topic_config(topic, "max.message.bytes"), "500000")
        same("cleanup.policy", self.client.topic_config(topic, "cleanup.policy"), "delete")

    def topic_alter(self):
        topic = self.topic("alter", 1, {"retention.ms": "3600000"})
        self.client.set_config(topic, "max.message.bytes", "2000000")
        shows = lambda key, want: lambda: self.client.topic_config(topic, key) == want  # noqa: E731
        until(shows("max.message.bytes", "2000000"), 10, "the new value is not read back")
        same("retention.ms", self.client.topic_config(topic, "retention.ms"), "3600000")
        self.client.unset_config(topic, "max.message.bytes")
        until(shows("max.message.bytes", "1048588"), 10, "the default does not come back")

    def topic_partitions(self):
        topic = self.topic("grow", 2)
        self.client.add_partitions(topic, 5)
        until(lambda: self.client.partitions(topic) == 5, 15, "five partitions are not shown")
        self.client.produce(topic, [Record(b"new", partition=4)])
        same("record", self.client.read(topic, 4, 1)[0].value, b"new")

    def topic_delete(self):
        """All the topics of this run go, so a suite leaves nothing behind."""
        for topic in self.made:
            self.client.delete_topic(topic)
        until(lambda: not set(self.made) & set(self.client.topics()), 15, "deleted topics are still listed")

    def error_topic_exists(self):
        topic = self.topic("exists")
        refuses(lambda: self.client.create_topic(topic, 1, {}), "TOPIC_ALREADY_EXISTS")

    def error_illegal_topic(self):
        refuses(lambda: self.client.create_topic("no spaces!", 1, {}), "INVALID_TOPIC_EXCEPTION")

    def error_unknown_topic(self):
        refuses(lambda: self.client.delete_topic(f"interop-absent-{self.run_id}"), "UNKNOWN_TOPIC_OR_PARTITION")

    def error_bad_config(self):
        name = f"interop-bad-{self.run_id}"
        refuses(lambda: self.client.create_topic(name, 1, {"retention.ms": "soon"}), "INVALID_CONFIG")
        refuses(lambda: self.client.create_topic(name, 1, {"retention.moons": "3"}), "INVALID_CONFIG")
        expect(name not in self.client.topics(), "a refused topic is listed")
        topic = self.topic("bad-config")
        refuses(lambda: self.client.set_config(topic, "cleanup.policy", "burn"), "INVALID_CONFIG")

    def error_fewer_partitions(self):
        topic = self.topic("fewer", 3)
        refuses(lambda: self.client.add_partitions(topic, 2), "INVALID_PARTITIONS")

    def error_too_large(self):
        topic = self.topic("too-large")
        record = Record(random.Random(9).randbytes(2_000_000))
        refuses(lambda: self.client.produce(topic, [record]), "MESSAGE_TOO_LARGE")
        same("bounds", self.client.bounds(topic, 0), (0, 0))

    def error_offset_out_of_range(self):
        topic = self.topic("range")
        self.client.produce(topic, [Record(b"only")])
        refuses(lambda: self.client.read(topic, 0, 1, offset=1000), "OFFSET_OUT_OF_RANGE")

    def error_unknown_member(self):
        """A commit without membership is refused while the group has members."""
        topic, group = self.topic("outsider"), self.group("outsider")
        with self.client.member(group, topic) as member:
            settle([member], [], lambda: member.assignment() == {0}, "nothing assigned")
            refuses(
                lambda: self.client.commit_from_outside(group, topic, 0, 5),
                "UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS",
            )

    def checks(self):
        for codec in CODECS if not QUICK else ["none", "snappy", "zstd"]:
            yield f"roundtrip-{codec}", lambda codec=codec: self.roundtrip(codec)
        for name in (
            "large_record", "many_records", "idempotent_producer", "offsets", "group_resume", "group_rebalance",
            "topic_create", "topic_alter", "topic_partitions", "error_topic_exists", "error_illegal_topic",
            "error_unknown_topic", "error_bad_config", "error_fewer_partitions", "error_too_large",
            "error_offset_out_of_range", "error_unknown_member", "topic_delete",
        ):
            yield name.replace("_", "-"), getattr(self, name)


def mixed_records(count, null_headers):
    """Keys, null keys, null values, headers twice under one name and with null and empty values, own timestamps."""
    base = int(time.time() * 1000) - 60_000
    headers = [("name", b"one"), ("name", b"two"), ("empty", b""), ("bytes", bytes(range(256)))]
    if null_headers:
        headers.append(("null", None))
    records = []
    for i in range(count):
        value = b"value %d " % i + b"compressible " * 20
        records.append(Record(value, b"key %d" % (i % 7), base + i * 10, headers if i % 3 == 0 else []))
    records[1].key = None
    records[2].value = None
    records[4].value = b""
    return records


def same_records(got, want):
    same("count", len(got), len(want))
    for i, (have, expected) in enumerate(zip(got, want)):
        for part in ("key", "value", "timestamp"):
            same(f"{part} of record {i}", getattr(have, part), getattr(expected, part))
        same(f"headers of record {i}", [tuple(h) for h in have.headers], [tuple(h) for h in expected.headers])


def until(condition, seconds, why):
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, why() if callable(why) else why)
        time.sleep(0.1)


def drain(member, count, seconds=30):
    got, end = [], time.monotonic() + seconds
    while len(got) < count:
        expect(time.monotonic() < end, f"{len(got)} of {count} records in {seconds} s")
        got += member.poll(0.2)
    return got


def settle(members, seen, condition, why, seconds=40):
    """Polls all the members until the condition holds; what they read goes to `seen`."""
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, why() if callable(why) else why)
        for member in members:
            seen += member.poll(0.1)


def shared(one, two):
    a, b = one.assignment(), two.assignment()
    return a | b == {0, 1, 2, 3} and not a & b and a and b


def run(client, check_seconds=60):
    """Runs every check, or those named by ONLY, and returns the exit status."""

    def alarm(_signal, _frame):
        raise TimedOut(f"no end after {check_seconds} s")

    signal.signal(signal.SIGALRM, alarm)
    only = os.environ.get("ONLY", "").split()
    passed = failed = 0
    for name, check in Scenarios(client).checks():
        if only and name not in only and name != "topic-delete":
            continue
        signal.alarm(check_seconds)
        began = time.monotonic()
        try:
            check()
            verdict, passed = "PASS", passed + 1
        except BaseException as error:  # noqa: BLE001: a check must not take the others with it
            if isinstance(error, KeyboardInterrupt):
                raise
            if os.environ.get("TRACE"):
                traceback.print_exc()
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            verdict, failed = f"FAIL {why}", failed + 1
        signal.alarm(0)
        print(f"{client.name} {name} {verdict}", flush=True)
        if os.environ.get("TRACE"):
            print(f"  {time.monotonic() - began:.1f} s", file=sys.stderr)
    print(f"{passed} passed, {failed} failed", flush=True)
    try:
        client.close()
    except Exception:  # noqa: BLE001, S110: the verdict stands
        pass
    return 1 if failed else 0

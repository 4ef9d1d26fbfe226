// The checks of ../README.md over kafkajs. It alters topics by AlterConfigs as it was before KIP-339, cannot send a
// header without a value, and hides the idempotent producer's sequence behind maxInFlightRequests = 1.
'use strict'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const crypto = require('node:crypto')
const lz4 = require('lz4-napi')
const snappy = require('kafkajs-snappy')
const zstd = require('@bokuweb/zstd-wasm')

const quick = !['', '0', undefined].includes(process.env.QUICK)
const checkSeconds = 60
const runId = crypto.randomBytes(4).toString('hex')

CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})
const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const kafka = new Kafka({
  clientId: 'interop',
  brokers: [process.env.BOOTSTRAP || '127.0.0.1:9092'],
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 8 },
})
const admin = kafka.admin()
const made = []

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

function expect(condition, why) {
  if (!condition) throw new Error(why)
}

function same(what, got, want) {
  const [have, expected] = [got, want].map(value => JSON.stringify(value))
  expect(have === expected, `${what}: got ${String(have).slice(0, 90)}, want ${String(expected).slice(0, 90)}`)
}

async function until(what, seconds, condition) {
  for (const end = Date.now() + seconds * 1000; !(await condition()); await sleep(100)) {
    expect(Date.now() < end, `${what} after ${seconds} s`)
  }
}

// Kafka's name of the error, however deep kafkajs has put it.
function errorTypes(error) {
  const inner = [...(error.errors || []), ...(error.groups || []).map(group => group.error), error.cause, error.originalError].filter(Boolean)
  return [error.type, ...inner.flatMap(errorTypes)].filter(Boolean)
}

async function refuses(call, ...types) {
  let refused
  try {
    await call()
  } catch (error) {
    refused = error
  }
  expect(refused, `nothing refused, want ${types.join('/')}`)
  const found = errorTypes(refused)
  expect(types.some(type => found.includes(type)), `refused with ${found} ${refused.message}, want ${types.join('/')}`)
}

async function create(topic, partitions, configs = {}) {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }], waitForLeaders: false })
}

async function partitionCount(topic) {
  try {
    return (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  } catch {
    return 0
  }
}

async function topicNamed(name, partitions = 1, configs = {}) {
  const topic = `interop-kafkajs-${name}-${runId}`
  await create(topic, partitions, configs)
  made.push(topic)
  await until(`${topic} shows its partitions`, 15, async () => (await partitionCount(topic)) === partitions)
  return topic
}

const groupNamed = name => `interop-kafkajs-${name}-${runId}`

async function produce(topic, messages, { codec = 'none', idempotent = false } = {}) {
  const producer = kafka.producer({ idempotent, maxInFlightRequests: idempotent ? 1 : 5 })
  await producer.connect()
  try {
    for (let at = 0; at < messages.length; at += 1000) {
      await producer.send({ topic, acks: -1, compression: codecs[codec], messages: messages.slice(at, at + 1000) })
    }
  } finally {
    await producer.disconnect()
  }
}

// A member of a group: kafkajs has no consumer outside a group, so this serves for reading too.
async function join(group, topic, onCrash = () => {}) {
  const consumer = kafka.consumer({ groupId: group, heartbeatInterval: 500, sessionTimeout: 10000, maxWaitTimeInMs: 200, retry: { retries: 3 } })
  const member = { consumer, seen: [], assignment: [], isMember: false }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.assignment = (payload.memberAssignment[topic] || []).slice().sort()
    member.isMember = true
  })
  consumer.on(consumer.events.REBALANCING, () => (member.assignment = []))
  consumer.on(consumer.events.CRASH, ({ payload }) => onCrash(payload.error))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch }) => {
      for (const message of batch.messages) member.seen.push({ partition: batch.partition, ...message })
    },
  })
  member.leave = () => consumer.disconnect()
  return member
}

async function read(topic, count) {
  const member = await join(groupNamed(`read-${crypto.randomBytes(3).toString('hex')}`), topic)
  try {
    await until(`not ${count} records came (${topic})`, 30, () => member.seen.length >= count)
    return member.seen.sort((a, b) => a.partition - b.partition || Number(a.offset) - Number(b.offset))
  } finally {
    await member.leave()
  }
}

const values = records => records.map(record => record.value.toString())
const numbered = (first, end, partitions = 1) =>
  Array.from({ length: end - first }, (_, i) => ({ value: String(first + i), partition: (first + i) % partitions }))

async function roundtrip(codec) {
  const topic = await topicNamed(`codec-${codec}`)
  const base = Date.now() - 60000
  const sent = Array.from({ length: quick ? 40 : 200 }, (_, i) => ({
    key: `key ${i % 7}`,
    value: `value ${i} ${'compressible '.repeat(20)}`,
    timestamp: String(base + i * 10),
    headers: i % 3 ? {} : { name: ['one', 'two'], empty: '', bytes: Buffer.from([0, 1, 255]) },
    partition: 0,
  }))
  sent[1].key = null
  sent[2].value = null
  sent[4].value = ''
  await produce(topic, sent, { codec })
  const back = await read(topic, sent.length)
  same('count', back.length, sent.length)
  const text = value => (value === null || value === undefined ? null : value.toString('latin1'))
  const headerText = headers =>
    Object.entries(headers || {}).map(([name, value]) => [name, [value].flat().map(one => Buffer.from(one).toString('latin1'))])
  back.forEach((record, i) => {
    same(`offset of record ${i}`, record.offset, String(i))
    same(`key of record ${i}`, text(record.key), sent[i].key)
    same(`value of record ${i}`, text(record.value), sent[i].value)
    same(`timestamp of record ${i}`, record.timestamp, sent[i].timestamp)
    same(`headers of record ${i}`, headerText(record.headers), headerText(sent[i].headers))
  })
}

async function largeRecord() {
  const topic = await topicNamed('large')
  const value = crypto.randomBytes(900000)
  await produce(topic, [{ key: 'large', value, partition: 0 }])
  await produce(topic, [{ value: 'after', partition: 0 }])
  const back = await read(topic, 2)
  expect(back[0].value.equals(value), `900000 bytes came back as ${back[0].value.length} or changed`)
  same('the next record', back[1].value.toString(), 'after')
}

async function manyRecords() {
  const count = quick ? 3000 : 10000
  const topic = await topicNamed('many', 3)
  await produce(topic, numbered(0, count, 3), { codec: 'gzip' })
  const back = await read(topic, count)
  same('count', back.length, count)
  for (const partition of [0, 1, 2]) {
    const mine = back.filter(record => record.partition === partition)
    mine.forEach((record, i) => {
      same('offset', record.offset, String(i))
      same('value', record.value.toString(), String(i * 3 + partition))
    })
  }
}

async function idempotentProducer() {
  const topic = await topicNamed('idempotent')
  const count = quick ? 300 : 1000
  await produce(topic, numbered(0, count), { idempotent: true })
  same('values', values(await read(topic, count)), numbered(0, count).map(message => message.value))
}

async function offsets() {
  const topic = await topicNamed('offsets')
  const base = Date.now() - 60000
  await produce(topic, numbered(0, 10).map((message, i) => ({ ...message, timestamp: String(base + i * 1000) })), { codec: 'gzip' })
  const [{ low, high }] = await admin.fetchTopicOffsets(topic)
  same('bounds', [low, high], ['0', '10'])
  const at = async timestamp => (await admin.fetchTopicOffsetsByTimestamp(topic, timestamp))[0].offset
  same('at an exact time', await at(base + 4000), '4')
  same('between two', await at(base + 4500), '5')
  same('before all', await at(base - 1), '0')
  // kafkajs shows the end where no record is that late.
  same('after all', await at(base + 60000), '10')
}

async function groupResume() {
  const [topic, group] = [await topicNamed('resume'), groupNamed('resume')]
  await produce(topic, numbered(0, 100))
  const first = await join(group, topic)
  try {
    await until('40 records came not', 30, () => first.seen.length >= 40)
    await first.consumer.commitOffsets([{ topic, partition: 0, offset: '40' }])
  } finally {
    await first.leave()
  }
  same('committed', (await admin.fetchOffsets({ groupId: group, topics: [topic] }))[0].partitions[0].offset, '40')
  const second = await join(group, topic)
  try {
    await until('60 records came not', 30, () => second.seen.length >= 60)
    same('rest', values(second.seen), numbered(40, 100).map(message => message.value))
  } finally {
    await second.leave()
  }
}

async function groupRebalance() {
  const [topic, group] = [await topicNamed('rebalance', 4), groupNamed('rebalance')]
  const all = [0, 1, 2, 3]
  const hasAll = member => JSON.stringify(member.assignment) === JSON.stringify(all)
  const one = await join(group, topic)
  let two
  try {
    await until('one member has not all partitions', 40, () => hasAll(one))
    two = await join(group, topic)
    await until('two members do not share the partitions', 40, () => {
      const both = [...one.assignment, ...two.assignment].sort()
      return one.assignment.length && two.assignment.length && JSON.stringify(both) === JSON.stringify(all)
    })
    await produce(topic, numbered(0, 200, 4))
    await until('not all of 200 records came', 40, () => one.seen.length + two.seen.length >= 200)
    for (const member of [one, two]) {
      await member.consumer.commitOffsets(member.assignment.map(partition => ({ topic, partition, offset: '50' })))
    }
    await two.leave()
    await until('the partitions of a leaver stay away', 40, () => hasAll(one))
    await produce(topic, numbered(200, 240, 4))
    await until('not all of 240 records came', 40, () => one.seen.length + two.seen.length >= 240)
    const numbers = values([...one.seen, ...two.seen]).map(Number).sort((a, b) => a - b)
    same('records', numbers, Array.from({ length: 240 }, (_, i) => i))
  } finally {
    await one.leave()
    if (two) await two.leave()
  }
}

async function topicConfig(topic, key) {
  const described = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] })
  return described.resources[0].configEntries.find(entry => entry.configName === key).configValue
}

const alter = (topic, configs) =>
  admin.alterConfigs({
    resources: [
      { type: ConfigResourceTypes.TOPIC, name: topic, configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) },
    ],
  })

async function topicCreate() {
  const topic = await topicNamed('create', 3, { 'retention.ms': '3600000', 'max.message.bytes': '500000' })
  expect((await admin.listTopics()).includes(topic), 'not listed')
  same('retention.ms', await topicConfig(topic, 'retention.ms'), '3600000')
  same('max.message.bytes', await topicConfig(topic, 'max.message.bytes'), '500000')
  same('cleanup.policy', await topicConfig(topic, 'cleanup.policy'), 'delete')
}

async function topicAlter() {
  const topic = await topicNamed('alter', 1, { 'retention.ms': '3600000' })
  const shows = want => async () => (await topicConfig(topic, 'max.message.bytes')) === want
  await alter(topic, { 'retention.ms': '3600000', 'max.message.bytes': '2000000' })
  await until('the new value is not read back', 10, shows('2000000'))
  await alter(topic, { 'retention.ms': '3600000' })
  await until('what is not named does not go back to its default', 10, shows('1048588'))
  same('retention.ms', await topicConfig(topic, 'retention.ms'), '3600000')
}

async function topicPartitions() {
  const topic = await topicNamed('grow', 2)
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  await until('five partitions are not shown', 15, async () => (await partitionCount(topic)) === 5)
  await produce(topic, [{ value: 'new', partition: 4 }])
  same('record', values(await read(topic, 1)), ['new'])
}

// All the topics of this run go, so a suite leaves nothing behind.
async function topicDelete() {
  await admin.deleteTopics({ topics: made })
  await until('deleted topics are still listed', 15, async () => {
    const listed = await admin.listTopics()
    return !made.some(topic => listed.includes(topic))
  })
}

async function errorTopicExists() {
  const topic = await topicNamed('exists')
  // kafkajs takes this error for an answer of its own: createTopics says false.
  same('created again', await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] }), false)
}

const errorIllegalTopic = () => refuses(() => create('no spaces!', 1), 'INVALID_TOPIC_EXCEPTION')

const errorUnknownTopic = () =>
  refuses(() => admin.deleteTopics({ topics: [`interop-absent-${runId}`] }), 'UNKNOWN_TOPIC_OR_PARTITION')

async function errorBadConfig() {
  const name = `interop-bad-${runId}`
  await refuses(() => create(name, 1, { 'retention.ms': 'soon' }), 'INVALID_CONFIG')
  await refuses(() => create(name, 1, { 'retention.moons': '3' }), 'INVALID_CONFIG')
  expect(!(await admin.listTopics()).includes(name), 'a refused topic is listed')
  const topic = await topicNamed('bad-config')
  await refuses(() => alter(topic, { 'cleanup.policy': 'burn' }), 'INVALID_CONFIG')
}

async function errorFewerPartitions() {
  const topic = await topicNamed('fewer', 3)
  await refuses(() => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }), 'INVALID_PARTITIONS')
}

async function errorTooLarge() {
  const topic = await topicNamed('too-large')
  await refuses(() => produce(topic, [{ value: crypto.randomBytes(2000000), partition: 0 }]), 'MESSAGE_TOO_LARGE')
  same('end', (await admin.fetchTopicOffsets(topic))[0].high, '0')
}

// kafkajs goes back to the beginning by itself when an offset is out of range: what counts is that it noticed.
async function errorOffsetOutOfRange() {
  const [topic, group] = [await topicNamed('range'), groupNamed('range')]
  await produce(topic, numbered(0, 1))
  await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '1000' }] })
  const member = await join(group, topic)
  try {
    await until('the record came not', 30, () => member.seen.length > 0)
    same('read again from the beginning', values(member.seen), ['0'])
  } finally {
    await member.leave()
  }
}

// kafkajs cannot commit from outside of a group, but it can try to delete a group that has members.
async function errorGroupInUse() {
  const [topic, group] = [await topicNamed('in-use'), groupNamed('in-use')]
  const member = await join(group, topic)
  try {
    await until('nothing assigned', 30, () => member.assignment.length === 1)
    same('members', (await admin.describeGroups([group])).groups[0].members.length, 1)
    await refuses(() => admin.deleteGroups([group]), 'NON_EMPTY_GROUP')
  } finally {
    await member.leave()
  }
  await until('the group cannot be deleted when empty', 15, async () => {
    try {
      await admin.deleteGroups([group])
      return true
    } catch {
      return false
    }
  })
}

const checks = [
  ...(quick ? ['none', 'snappy', 'zstd'] : Object.keys(codecs)).map(codec => [`roundtrip-${codec}`, () => roundtrip(codec)]),
  ['large-record', largeRecord],
  ['many-records', manyRecords],
  ['idempotent-producer', idempotentProducer],
  ['offsets', offsets],
  ['group-resume', groupResume],
  ['group-rebalance', groupRebalance],
  ['topic-create', topicCreate],
  ['topic-alter', topicAlter],
  ['topic-partitions', topicPartitions],
  ['error-topic-exists', errorTopicExists],
  ['error-illegal-topic', errorIllegalTopic],
  ['error-unknown-topic', errorUnknownTopic],
  ['error-bad-config', errorBadConfig],
  ['error-fewer-partitions', errorFewerPartitions],
  ['error-too-large', errorTooLarge],
  ['error-offset-out-of-range', errorOffsetOutOfRange],
  ['error-group-in-use', errorGroupInUse],
  ['topic-delete', topicDelete],
]

async function main() {
  const only = (process.env.ONLY || '').split(/\s+/).filter(Boolean)
  let passed = 0
  let failed = 0
  await zstd.init()
  await admin.connect()
  for (const [name, check] of checks) {
    if (only.length && !only.includes(name) && name !== 'topic-delete') continue
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no end after ${checkSeconds} s`)), checkSeconds * 1000)
    })
    try {
      await Promise.race([check(), late])
      console.log(`kafkajs ${name} PASS`)
      passed += 1
    } catch (error) {
      if (process.env.TRACE) console.error(error)
      console.log(`kafkajs ${name} FAIL ${String(error.message).replace(/\s+/g, ' ').slice(0, 300)}`)
      failed += 1
    }
    clearTimeout(timer)
  }
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed ? 1 : 0)
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})

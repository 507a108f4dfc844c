// The client pgmq-js makes each of its calls on the database at DATABASE_URL.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pgmq } from 'pgmq-js';

const url = new URL(process.env.DATABASE_URL);
const client = await Pgmq.new(
  {
    host: decodeURIComponent(url.hostname),
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
    ssl: false,
  },
  { skipExtensionCreation: true },
);

// What is called is noted, so that the end can say whether anything was left out.
const left = new Set();
const noted = (prefix, object) => {
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(object))) {
    if (name !== 'constructor') left.add(`${prefix}.${name}`);
  }
  return new Proxy(object, {
    get(target, name) {
      left.delete(`${prefix}.${String(name)}`);
      return Reflect.get(target, name);
    },
  });
};
const queue = noted('queue', client.queue);
const msg = noted('msg', client.msg);

const recent = (date) => Math.abs(Date.now() - date.getTime()) < 60_000;
const inSeconds = (date) => (date.getTime() - Date.now()) / 1000;
const near = (date, seconds) => assert.ok(Math.abs(inSeconds(date) - seconds) < 20, `${date} is not ${seconds} s away`);
const ids = (messages) => messages.map((m) => m.msgId);
const count = async (name) => (await queue.getMetrics(name)).queueLength;

// Queues.
await queue.create('orders');
await queue.create('orders');
await queue.createUnlogged('Scratch');
const listed = (await queue.list()).sort((a, b) => a.name.localeCompare(b.name));
assert.deepEqual(
  listed.map(({ name, isPartitioned, isUnlogged }) => ({ name, isPartitioned, isUnlogged })),
  [
    { name: 'orders', isPartitioned: false, isUnlogged: false },
    { name: 'Scratch', isPartitioned: false, isUnlogged: true },
  ],
);
assert.ok(listed.every((q) => recent(q.createdAt)), 'a queue was not created just now');
await assert.rejects(queue.create('no;good'), { message: /queue name/ });
await assert.rejects(queue.create('x'.repeat(48)), { message: /too long/ });

// Send; read; hidden while it is read; visible when its time has passed.
const bodies = [{ text: "it's \"quoted\" \\ ☃", list: [1, null, { a: true }] }, 'text', 42, 0, true, null, [1, 2], {}];
for (const [i, body] of bodies.entries()) assert.equal(await msg.send('orders', body), i + 1);
for (const [i, body] of bodies.entries()) {
  const m = await msg.read('orders', 60);
  assert.deepEqual({ id: m.msgId, n: m.readCount, body: m.message }, { id: i + 1, n: 1, body });
  assert.ok(recent(m.enqueuedAt));
  near(m.vt, 60);
}
assert.equal(await msg.read('orders', 60), undefined);
assert.deepEqual(await msg.readBatch('orders', 60, 5), []);

// set_vt to now and to later.
const shown = await msg.setVt('orders', 3, 0);
assert.equal(shown.msgId, 3);
assert.equal(shown.readCount, 1);
const again = await msg.read('orders', 1);
assert.equal(again.msgId, 3);
assert.equal(again.readCount, 2);
await sleep(1100);
assert.equal((await msg.read('orders')).readCount, 3, 'what was hidden for 1 s is read again');
const later = await msg.setVt('orders', 3, 600);
near(later.vt, 600);
assert.equal(await msg.setVt('orders', 999, 1), undefined);

// Archive and delete, one and several; what is not there is not counted.
assert.equal(await msg.archive('orders', 1), true);
assert.equal(await msg.archive('orders', 1), false);
assert.deepEqual(await msg.archiveBatch('orders', [2, 3, 999]), [2, 3]);
assert.equal(await msg.delete('orders', 4), true);
assert.equal(await msg.delete('orders', 4), false);
assert.deepEqual(await msg.deleteBatch('orders', [5, 6, 999]), [5, 6]);
assert.equal(await count('orders'), 2);

// Batches, delays, pop.
assert.deepEqual(await msg.sendBatch('orders', [{ i: 0 }, 'a,b"c\\', 2]), [9, 10, 11]);
assert.deepEqual(await msg.sendBatch('orders', [{ i: 3 }], 600), [12]);
assert.equal(await msg.send('orders', 'much later', 600), 13);
assert.deepEqual(await msg.pop('orders').then((m) => [m.msgId, m.message]), [9, { i: 0 }]);
const batch = await msg.readBatch('orders', 600, 10);
assert.deepEqual(batch.map((m) => [m.msgId, m.message]), [[10, 'a,b"c\\'], [11, 2]]);
assert.equal(await msg.pop('orders'), undefined);
assert.equal(await msg.send('orders', 'soon', 1), 14);
assert.deepEqual(await msg.sendBatch('orders', ['soon'], 1), [15]);
await sleep(1100);
assert.deepEqual(ids(await msg.readBatch('orders', 600, 10)), [14, 15]);
await msg.setVt('orders', 12, 0);
assert.deepEqual(await msg.pop('orders').then((m) => [m.msgId, m.message]), [12, { i: 3 }]);

// Counts.
const metrics = await queue.getMetrics('orders');
assert.deepEqual(
  { name: metrics.queueName, length: metrics.queueLength, total: metrics.totalMessages },
  { name: 'orders', length: 7, total: 15 },
);
assert.ok(recent(metrics.scrapeTime));
assert.ok(metrics.oldestMsgAgeSec >= metrics.newestMsgAgeSec && metrics.newestMsgAgeSec >= 1, JSON.stringify(metrics));
assert.equal(await msg.send('Scratch', {}), 1);
assert.deepEqual(
  (await queue.getAllMetrics()).map((m) => [m.queueName, m.queueLength]).sort((a, b) => a[1] - b[1]),
  [['Scratch', 1], ['orders', 7]],
);

// Two readers at once share what there is.
const sent = await msg.sendBatch('Scratch', Array.from({ length: 500 }, (_, i) => ({ i })));
const drain = async () => {
  const got = [];
  for (let b; (b = await msg.readBatch('Scratch', 600, 7)).length > 0; ) got.push(...ids(b));
  return got;
};
const drained = (await Promise.all([drain(), drain(), drain(), drain()])).flat();
assert.deepEqual(drained.sort((a, b) => a - b), [1, ...sent]);

// Purge, detach, drop.
await queue.purge('orders');
assert.equal(await count('orders'), 0);
assert.equal((await queue.getMetrics('orders')).oldestMsgAgeSec, undefined);
await queue.detachArchive('orders');
await queue.drop('orders');
await queue.drop('Scratch');
assert.deepEqual(await queue.list(), []);
await assert.rejects(msg.send('orders', {}), { code: '42P01' });

assert.deepEqual([...left], [], 'calls that the client offers and this script does not make');
await client.close();

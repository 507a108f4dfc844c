// Flows run on pgflow's SQL core in the database at DATABASE_URL: its own compiler
// writes the definitions, its own client starts, claims, completes and fails.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { PgflowSqlClient } from '@pgflow/core';
import { compileFlow, Flow } from '@pgflow/dsl';
import postgres from 'postgres';

const sql = postgres(process.env.DATABASE_URL, { max: 4, onnotice: () => {} });
const core = new PgflowSqlClient(sql);

const calls = new Map();
const nth = (...key) => {
  const k = JSON.stringify(key);
  calls.set(k, (calls.get(k) ?? 0) + 1);
  return calls.get(k);
};

const flow = new Flow({ slug: 'lengths', maxAttempts: 3, baseDelay: 1, timeout: 30 })
  .array({ slug: 'words' }, ({ run }) => run.text.split(' ').filter(Boolean))
  .map({ slug: 'measure', array: 'words' }, (word, attempt) => {
    if (word === 'flaky' && attempt === 1) throw new Error('no luck yet');
    return word.length;
  })
  .step({ slug: 'later', dependsOn: ['words'], startDelay: 1 }, ({ words }) => ({ count: words.length }))
  .step({ slug: 'total', dependsOn: ['measure', 'later'], maxAttempts: 2 }, ({ run, measure, later }) => {
    if (run.text.includes('hopeless')) throw new Error('never');
    return { sum: measure.reduce((a, b) => a + b, 0), count: later.count };
  });
for (const statement of compileFlow(flow)) await sql.unsafe(statement);

// A worker, as simple as one can be: poll, claim, do, answer.
async function work(stop) {
  const worker = randomUUID();
  await sql`insert into pgflow.workers (worker_id, queue_name, function_name) values (${worker}, ${flow.slug}, 'test')`;
  while (!stop.aborted) {
    const messages = await core.readMessages(flow.slug, 30, 4, 1, 50);
    if (messages.length === 0) continue;
    const tasks = await core.startTasks(flow.slug, messages.map((m) => m.msg_id), worker);
    for (const task of tasks) {
      const attempt = nth(task.run_id, task.step_slug, task.task_index);
      let output;
      try {
        output = flow.getStepDefinition(task.step_slug).handler(task.input, attempt);
      } catch (e) {
        await core.failTask(task, e);
        continue;
      }
      await core.completeTask(task, output);
    }
  }
}

const texts = ['one flaky three', '', 'so hopeless', ...Array.from({ length: 12 }, (_, i) => 'word '.repeat(i + 1))];
const runs = [];
for (const text of texts) runs.push((await core.startFlow(flow.slug, { text })).run_id);

const stop = new AbortController();
const workers = Promise.all([work(stop.signal), work(stop.signal)]);
const deadline = Date.now() + 60_000;
for (;;) {
  const [{ open }] = await sql`select count(*)::int as open from pgflow.runs where status not in ('completed', 'failed')`;
  if (open === 0) break;
  assert.ok(Date.now() < deadline, `${open} runs have not ended`);
  await Promise.race([workers, new Promise((resolve) => setTimeout(resolve, 50))]);
}
stop.abort();
await workers;

const ended = new Map((await sql`select run_id, status, output from pgflow.runs`).map((r) => [r.run_id, r]));
for (const [i, text] of texts.entries()) {
  const { status, output } = ended.get(runs[i]);
  if (text.includes('hopeless')) {
    assert.equal(status, 'failed', text);
    continue;
  }
  const words = text.split(' ').filter(Boolean);
  assert.equal(status, 'completed', text);
  assert.deepEqual(output, { total: { sum: words.join('').length, count: words.length } });
}

// Each task was done once, but for the one that fails once and the one that always does.
const tries = (i, step, index = 0) => calls.get(JSON.stringify([runs[i], step, index]));
assert.deepEqual([tries(0, 'measure', 0), tries(0, 'measure', 1), tries(0, 'measure', 2)], [1, 2, 1]);
assert.equal(tries(1, 'measure'), undefined, 'a map over nothing has no tasks');
assert.equal(tries(2, 'total'), 2);
const repeated = [...calls].filter(([, n]) => n > 1).map(([k]) => k);
assert.deepEqual(
  repeated.sort(),
  [JSON.stringify([runs[0], 'measure', 1]), JSON.stringify([runs[2], 'total', 0])].sort(),
);

// What has ended is in the archive, once; nothing is left to read.
const [queue] = await sql`select queue_length::int as length, total_messages::int as total from pgmq.metrics(${flow.slug})`;
const [archive] = await sql`select count(*)::int as messages, count(distinct msg_id)::int as ids, max(read_ct) as reads from pgmq.a_lengths`;
assert.equal(queue.length, 0);
assert.equal(queue.total, calls.size, 'one message for each task');
assert.deepEqual({ ...archive }, { messages: calls.size, ids: calls.size, reads: 2 });

// Its events left through the stand-in for realtime.send.
const events = await sql`select event, count(*)::int as n from realtime.sent where event like 'run:%' group by event order by event`;
assert.deepEqual(
  events.map(({ event, n }) => [event, n]),
  [['run:completed', runs.length - 1], ['run:failed', 1], ['run:started', runs.length]],
);

await sql.end();

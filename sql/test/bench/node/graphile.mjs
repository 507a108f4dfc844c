// Graphile Worker on the database at the URL that is the only argument; rounds.mjs says
// how it is asked for jobs. README.md has the reasons for the settings.
import { setTimeout } from 'node:timers/promises'
import { Logger, makeWorkerUtils, run, WorkerPreset } from 'graphile-worker'
import { serve } from './rounds.mjs'

const logger = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message)
})
const preset = {
  extends: [WorkerPreset],
  worker: {
    connectionString: process.argv[2],
    maxPoolSize: 16,
    logger,
    concurrentJobs: 24,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
}

let executed = 0
const taskList = { job: () => { executed++ } }
const utils = await makeWorkerUtils({ preset })
await utils.migrate()
const runner = await run({ preset, taskList, noHandleSignals: true })

await serve({
  insert: n => utils.addJobs(Array.from({ length: n }, () => ({ identifier: 'job', payload: {} }))),

  // A completed job is deleted, some time after its handler has returned.
  async finish (jobs) {
    for (const goal = executed + jobs; executed < goal;) await setTimeout(2)
    for (let left = true; left;) {
      const { rows } = await utils.withPgClient(client =>
        client.query('select exists (select from graphile_worker._private_jobs) as any'))
      left = rows[0].any
    }
  },

  async close () {
    await runner.stop()
    await utils.release()
  },
})

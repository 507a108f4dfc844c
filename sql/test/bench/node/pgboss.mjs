// pg-boss on the database at the URL that is the only argument; rounds.mjs says how it
// is asked for jobs. README.md has the reasons for the settings.
import { setTimeout } from 'node:timers/promises'
import PgBoss from 'pg-boss'
import { serve } from './rounds.mjs'

const boss = new PgBoss({ connectionString: process.argv[2], max: 24, schedule: false })
boss.on('error', error => {
  console.error(error)
  process.exit(1)
})
await boss.start()
await boss.createQueue('job')

// handler does nothing, for each job.
const handler = async () => {}

await serve({
  insert: n => boss.insert('job', Array.from({ length: n }, () => ({ data: {} }))),

  async finish (jobs, workers) {
    let left = jobs
    await Promise.all(Array.from({ length: Math.max(workers, 8) }, async () => {
      while (left > 0) {
        const fetched = await boss.fetch('job', { batchSize: 100 })
        if (fetched.length === 0) {
          await setTimeout(5)
          continue
        }
        await Promise.all(fetched.map(handler))
        await boss.complete('job', fetched.map(job => job.id))
        left -= fetched.length
      }
    }))
  },

  close: () => boss.stop({ graceful: true, wait: true, close: true }),
})

// What graphile.mjs and pgboss.mjs have in common: the process lives as long as the
// engine is open, so that rounds find warm code and open connections. A line on
// standard input asks for a round, {"jobs": 500, "workers": 4}; a line on standard
// output answers it, in milliseconds: {"wall": 310.5, "drain": 120.25}. The first line
// of output says that the engine is ready; an error ends the process.
import { createInterface } from 'node:readline'

// How many jobs one call inserts, and how many of these calls are under way at once.
const batch = 500
const inserters = 4

// inserted calls insert(n) until that many jobs are in.
async function inserted (jobs, insert) {
  let left = jobs
  await Promise.all(Array.from({ length: inserters }, async () => {
    while (left > 0) {
      const n = Math.min(batch, left)
      left -= n
      await insert(n)
    }
  }))
}

// serve plays rounds until standard input ends. insert(n) resolves when n jobs have
// been committed, finish(jobs, workers) when all jobs of the round have been completed
// durably; it is called first, so that jobs are worked on while others are inserted.
export async function serve ({ insert, finish, close }) {
  console.log('{"ready": true}')
  for await (const line of createInterface({ input: process.stdin })) {
    const { jobs, workers } = JSON.parse(line)
    const begin = performance.now()
    const done = finish(jobs, workers)
    await inserted(jobs, insert)
    const last = performance.now()
    await done
    const end = performance.now()
    console.log(JSON.stringify({ wall: end - begin, drain: end - last }))
  }
  await close()
}

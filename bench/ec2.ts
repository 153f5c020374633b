// `make bench-ec2`: how near the attacher comes to what EC2 allows. Pods that ask for ENIs at once, new ones and idle ones; EC2 calls
// while nothing changes; a hundred nodes at once. The real controllers and the real AWS SDK over the simulated EC2, on virtual time:
// the seconds below are EC2's, and the same in every run. What is stood in for: ec2/rested-cluster.ts. What EC2 allows: ec2/limit.ts.
import { mkdirSync, writeFileSync } from 'node:fs'
import { keysOf, missedGoals, report } from './ec2/report.ts'
import { measure, type Result, type Scenario, scenarios } from './ec2/scenarios.ts'
import { sideBySide } from './ec2/side-by-side.ts'

const results = new URL('results/', import.meta.url)

async function measureAll(): Promise<boolean> {
  const startedAt = performance.now()
  const elapsed = () => `${Math.round((performance.now() - startedAt) / 1000)} s`
  const measured = await sideBySide<Result>(scenarios.length, (result) =>
    console.log(`${elapsed()}: ${nameOf(result)}`),
  )
  const bursts = measured.filter((result) => result.kind === 'burst')
  const hundredNodes = measured.find((result) => result.kind === 'hundred-nodes')
  if (hundredNodes === undefined) throw new Error('no measurement of a hundred nodes')
  console.log(`\n${report(bursts, hundredNodes)}`)
  const missed = missedGoals(bursts, hundredNodes)
  for (const what of missed) console.log(`MISSED ${what}`)
  mkdirSync(results, { recursive: true })
  writeFileSync(new URL('ec2.json', results), `${JSON.stringify(keysOf(bursts, hundredNodes), undefined, 2)}\n`)
  return missed.length === 0
}

function nameOf(result: Result): string {
  return result.kind === 'burst' ? `${result.pods} pods measured` : '100 nodes measured'
}

async function measureOne(scenario: Scenario | undefined): Promise<void> {
  if (scenario === undefined) throw new Error(`there is no measurement ${process.argv[2]}`)
  process.send?.(await measure(scenario))
  process.disconnect?.()
}

const [, , number] = process.argv
if (number === undefined) process.exitCode = (await measureAll()) ? 0 : 1
else await measureOne(scenarios[Number(number)])

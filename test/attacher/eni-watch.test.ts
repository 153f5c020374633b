// Whoever waits for an ENI, or only looks at it, is answered by one call for all.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pino } from 'pino'
import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { attachmentTag, clusterTag } from '../../src/api/names.ts'
import type { Ec2, Eni } from '../../src/attacher/ec2.ts'
import type { Urgency } from '../../src/attacher/ec2-limiter.ts'
import { EniWatch } from '../../src/attacher/eni-watch.ts'

const log = pino({ level: 'silent' })
const eniOf = (id: string, ownerUID: string): Eni => ({
  id,
  status: 'available',
  mac: '',
  subnetID: 'subnet-a1',
  addresses: [],
  sourceDestCheck: true,
  description: '',
  securityGroupIDs: [],
  tags: new Map([[attachmentTag, ownerUID]]),
  attachment: undefined,
})

/** EC2 with as many ENIs as wanted, of which the last has lost its tags; and what it is asked for. */
function watchUnderTest(count: number) {
  const clock = new VirtualClock()
  const tagged = Array.from({ length: count - 1 }, (_, i) => eniOf(`eni-${i}`, `uid-${i}`))
  const all = [...tagged, { ...eniOf(`eni-${count - 1}`, ''), tags: new Map() }]
  const asked: string[] = []
  const ec2 = (urgency: Urgency): Ec2 => {
    const answer: Partial<Ec2> = {
      async describeEnis(ids) {
        if (ids.length > 0) asked.push(`${urgency}: ${ids.length} ids`)
        return all.filter(({ id }) => ids.includes(id))
      },
      async describeEnisByTag(key, values) {
        if (values.length > 0) asked.push(`${urgency}: ${key === clusterTag ? 'cluster' : `${values.length} owners`}`)
        return tagged.filter(({ tags }) => key === clusterTag || values.includes(tags.get(key) ?? ''))
      },
    }
    return answer as Ec2
  }
  const watch = new EniWatch({ ec2, clusterName: 'test', clock, log })
  const stop = new AbortController()
  const running = watch.run(stop.signal)
  const look = (i: number, urgency: Urgency) => ({ ownerUID: `uid-${i}`, urgency, signal: stop.signal })
  const next = (i: number, urgency: Urgency) => watch.next(`eni-${i}`, look(i, urgency))
  const end = async () => {
    stop.abort()
    await clock.advance(10_000)
    await running
  }
  return { watch, next, clock, asked, look, end }
}

test('whoever waits for an ENI is answered by one call, as urgent as the most urgent of them', async () => {
  const { next, clock, asked, end } = watchUnderTest(3)
  const looks = [next(0, 'release'), next(1, 'ahead'), next(0, 'pods')]
  await clock.advance(1)
  assert.deepEqual(
    (await Promise.all(looks)).map((eni) => eni?.id),
    ['eni-0', 'eni-1', 'eni-0'],
  )
  assert.deepEqual(asked, ['pods: 2 owners'])
  await end()
})

test('an ENI whose tag somebody has taken away is found by its id', async () => {
  const { next, clock, asked, end } = watchUnderTest(3)
  const looks = [next(1, 'pods'), next(2, 'pods')]
  await clock.advance(1)
  assert.deepEqual(
    (await Promise.all(looks)).map((eni) => eni?.id),
    ['eni-1', 'eni-2'],
  )
  assert.deepEqual(asked, ['pods: 2 owners', 'pods: 1 ids'])
  await end()
})

test('releases ask together for the ENIs that have their tags', async () => {
  const { watch, clock, asked, look, end } = watchUnderTest(3)
  const looks = [0, 1, 7].map((i) => watch.owned(look(i, 'release')))
  await clock.advance(1)
  assert.deepEqual(
    (await Promise.all(looks)).map((enis) => enis.map(({ id }) => id)),
    [['eni-0'], ['eni-1'], []],
  )
  assert.deepEqual(asked, ['release: 3 owners'])
  await end()
})

test('a thousand who wait are answered by the ENIs of the cluster, and one call more for what has lost its tag', async () => {
  const { next, clock, asked, end } = watchUnderTest(1_000)
  const looks = Array.from({ length: 1_000 }, (_, i) => next(i, 'pods'))
  await clock.advance(1)
  assert.deepEqual(
    (await Promise.all(looks)).map((eni, i) => eni?.id === `eni-${i}`).filter((isRight) => !isRight),
    [],
  )
  assert.deepEqual(asked, ['pods: cluster', 'pods: 1 ids'])
  await end()
})

// When the attacher is ready.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'

import { Controllers } from '../../src/attacher/controllers.ts'
import { Ec2Gate } from '../../src/attacher/ec2-gate.ts'
import { AttacherMetrics } from '../../src/attacher/metrics.ts'
import { attacherSettings } from '../../src/attacher/settings.ts'
import { EventRecorder } from '../../src/kube/event-recorder.ts'
import type { KubeClient } from '../../src/kube/cluster.ts'
import { realClock } from '../../src/process/clock.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { InProcessCluster } from '../kube-api/in-process-cluster.ts'

import { resource } from './attacher-world.ts'
import { ec2Access } from './ec2-access.ts'

const log = pino({ level: 'silent' })
const settings = attacherSettings({ JIT_ENI_RESOURCES: resource, JIT_ENI_CLUSTER: 'test-cluster' })

test('it is ready as a standby, and as the leader when it has seen all objects; until then it says which it has not', async () => {
  const api = new InProcessCluster(new ApiDouble())
  const mayListPods = Promise.withResolvers<void>()
  const cluster: KubeClient = {
    request: async <T>(...[method, path, options]: Parameters<KubeClient['request']>): Promise<T> => {
      if (path.endsWith('/pods')) await mayListPods.promise
      return api.request<T>(method, path, options)
    },
    lines: (path, options) => api.lines(path, options),
  }
  const events = new EventRecorder(cluster, 'jit-eni-attacher', log)
  const parts = { cluster, ec2: ec2Access(), gate: new Ec2Gate(realClock), events, settings, clock: realClock, log }
  const controllers = new Controllers({ ...parts, metrics: new AttacherMetrics() })
  assert.equal(controllers.notReady, undefined)
  const stop = new AbortController()
  const running = controllers.run(stop.signal)
  assert.equal(controllers.notReady, 'the cache of nodes has not synced yet')
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve))
  while (controllers.notReady !== 'the cache of pods has not synced yet') await nextTurn()
  mayListPods.resolve()
  while (controllers.notReady !== undefined) await nextTurn()
  stop.abort()
  await running
})

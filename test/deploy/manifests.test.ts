// The manifests of deploy/ agree with the programs and with each other: the cluster tests set the environment themselves.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { deployManifests, managedResources } from '../../sim/installation/manifests.ts'
import { attacherSettings } from '../../src/attacher/settings.ts'
import { devicePluginSettings } from '../../src/device-plugin/settings.ts'
import { extenderSettings } from '../../src/extender/settings.ts'
import { SettingsError } from '../../src/process/settings.ts'

interface Workload {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly Container[] } } }
}

interface Container {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
}

interface Probe {
  readonly httpGet: { readonly port?: string | number }
  readonly periodSeconds?: number
  readonly timeoutSeconds?: number
  readonly failureThreshold?: number
}

type Environment = Readonly<Record<string, string | undefined>>

/** By what the container runs. */
const settingsOf: Readonly<Record<string, (env: Environment) => unknown>> = {
  'dist/extender/main.js': extenderSettings,
  'dist/attacher/main.js': attacherSettings,
  'dist/device-plugin/main.js': devicePluginSettings,
}

const containers = deployManifests()
  .filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet')
  .flatMap((workload) => (workload as unknown as Workload).spec.template.spec.containers)
const ours = containers.filter(({ command }) => command[0] === 'node')

function environmentOf({ env = [] }: Container): Environment {
  // What a fieldRef gives is any text.
  return Object.fromEntries(env.map(({ name, value = 'from-the-pod' }) => [name, value]))
}

/** The names that the program asks its environment for. */
function namesRead(read: (env: Environment) => unknown, env: Environment): Set<string> {
  const names = new Set<string>()
  const watched = new Proxy(env, {
    get: (target, name) => {
      names.add(String(name))
      return Reflect.get(target, name) as string | undefined
    },
  })
  try {
    read(watched)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
  }
  return names
}

test('each program is run once, from its compiled main', () => {
  const mains = ours.map(({ command }) => command.at(-1)).toSorted()
  assert.deepEqual(mains, Object.keys(settingsOf).toSorted())
})

for (const container of ours) {
  const read = settingsOf[container.command.at(-1) ?? ''] ?? assert.fail(container.name)
  const env = environmentOf(container)

  test(`${container.name}: every variable is a setting of the program, or of the AWS SDK`, () => {
    const known = namesRead(read, env)
    assert.deepEqual(
      Object.keys(env).filter((name) => !known.has(name) && !name.startsWith('AWS_')),
      [],
    )
  })

  test(`${container.name}: its resources are those that the scheduler sends to the extender`, () => {
    assert.deepEqual(env['JIT_ENI_RESOURCES']?.split(','), managedResources())
  })
}

test('both pod policies match the same resources as the scheduler', () => {
  const policies = readFileSync(new URL('../../deploy/admission.yaml', import.meta.url), 'utf8')
  const lists = [...policies.matchAll(/name in\s+\[([^\]]*)\]/g)].map(([, list = '']) =>
    list.split(',').map((name) => name.trim().replaceAll("'", '')),
  )
  assert.ok(lists.length >= 2)
  for (const list of lists) assert.deepEqual(list, managedResources())
})

test('the scheduler looks for the extender where it listens by default', () => {
  const extender = ours.find(({ name }) => name === 'extender') ?? assert.fail()
  const { listen } = extenderSettings(environmentOf(extender))
  const configMap = deployManifests().find(({ kind }) => kind === 'ConfigMap')
  assert.ok(configMap?.data?.['scheduler.yaml']?.includes(`urlPrefix: http://${listen.host}:${listen.port}\n`))
})

test('the kubelet probes the extender on its status port, and its verbs stay on loopback', () => {
  const extender = ours.find(({ name }) => name === 'extender') ?? assert.fail()
  const { listen, statusListen } = extenderSettings(environmentOf(extender))
  assert.equal(listen.host, '127.0.0.1')
  assert.deepEqual(extender.ports, [{ name: 'status', containerPort: statusListen?.port }])
  for (const probe of [extender.livenessProbe, extender.readinessProbe]) assert.equal(probe?.httpGet.port, 'status')
})

test('a cluster name that nobody has chosen stops the attacher: two clusters must not share it', () => {
  const attacher = ours.find(({ name }) => name === 'attacher') ?? assert.fail()
  assert.throws(() => attacherSettings(environmentOf(attacher)), /JIT_ENI_CLUSTER: is not set/)
})

test('a device plugin on a busy node has two minutes to start and to answer, also when a kubelet that has restarted asks', () => {
  const { startupProbe, livenessProbe, readinessProbe } = ours.find(({ name }) => name === 'device-plugin') ?? {}
  assert.deepEqual(startupProbe?.httpGet, livenessProbe?.httpGet)
  for (const probe of [startupProbe, livenessProbe]) {
    // The kubelet's period is 10 s and its threshold 3, unless said otherwise.
    assert.ok((probe?.periodSeconds ?? 10) * (probe?.failureThreshold ?? 3) >= 120)
  }
  for (const probe of [livenessProbe, readinessProbe]) assert.ok((probe?.timeoutSeconds ?? 1) >= 10)
})

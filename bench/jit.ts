// `make bench`: how long a pod waits from its creation to its Binding, on the real cluster: with an ENI attached just in time, with
// a free ENI, and as a plain pod on the same scheduler. From the client just before it posts the pod, to the API server's receipt of
// the Binding (audit log). EC2's own time is what is configured in the simulated EC2, nothing else.
import { mkdirSync, writeFileSync } from 'node:fs'
import { podPath } from '../src/kube/resource.ts'
import { isIdle } from '../src/api/eni-attachment.ts'
import { startInstallation } from '../sim/installation/installation.ts'
import { Observer } from '../sim/installation/observer.ts'
import { network } from '../sim/installation/account.ts'
import { asStream } from '../sim/installation/manifests.ts'
import { BindingTimes } from './binding-times.ts'
import { summary, table } from './quantiles.ts'

const rounds = Number(process.env['ROUNDS'] ?? 50)
const resource = 'intel.com/upf_dataplane'
const attachMs = 2000
const hungAfterMs = 60_000
const labels = { ng: 'multi-eni' }
const results = new URL('results/', import.meta.url)

const say = (line: string) => void process.stdout.write(`${line}\n`)

await using installation = await startInstallation({
  nodes: [
    { name: 'node-a', zone: 'a', instanceType: 'm5.4xlarge', labels },
    { name: 'node-b', zone: 'a', instanceType: 'm5.4xlarge', labels },
  ],
  log: say,
})
const observer = new Observer(installation.cluster.adminKubeconfig)
await observer.start()
const bindings = new BindingTimes(installation.cluster.auditLog)

const noDelay = await measureJit(0)
const slowEC2 = await measureJit(attachMs)
await applyNodeENI('10m')
const free = await measure('free', true, async () => {
  await until(() => observer.allAttachments().some((a) => isIdle(a) && a.status?.device?.advertised === true))
})
const plain = await measure('plain', false, async () => undefined)
observer.stop()

const overhead = summary([...noDelay, ...slowEC2.map((ms) => ms - attachMs)])
const rows = {
  'JIT, EC2 without delay': summary(noDelay),
  [`JIT, attach takes ${attachMs} ms`]: summary(slowEC2),
  "JIT above EC2's own time": overhead,
  'a free ENI is there': summary(free),
  'plain pod, same scheduler': summary(plain),
}
say(`\npod created -> Binding, ${rounds} pods each, one after the other\n${table(rows, summary(plain).p50)}`)
mkdirSync(results, { recursive: true })
const keys = {
  jit_overhead_p50_ms: overhead.p50,
  jit_overhead_p99_ms: overhead.p99,
  reuse_minus_plain_p50_ms: summary(free).p50 - summary(plain).p50,
  jit_no_delay_p50_ms: summary(noDelay).p50,
  jit_2s_attach_p50_ms: summary(slowEC2).p50,
  plain_p50_ms: summary(plain).p50,
}
writeFileSync(new URL('jit.json', results), `${JSON.stringify(keys, undefined, 2)}\n`)
say(JSON.stringify(keys))

async function measureJit(delayMs: number): Promise<number[]> {
  await applyNodeENI('0s')
  // The first attach also waits for the resource to be registered; it is not counted.
  installation.ec2.setDelays({ attachMs: delayMs, deviceMs: delayMs })
  return measure(`jit-${delayMs}`, true, () => until(() => observer.allAttachments().length === 0))
}

/** Pods one after the other, each deleted before the next; the first one warms up and is not counted. */
async function measure(name: string, withResource: boolean, ready: () => Promise<unknown>): Promise<number[]> {
  const measured: number[] = []
  for (let round = 0; round <= rounds; round++) {
    if (round > 0) await ready()
    const pod = `${name}-${round}`
    const ms = await timeBinding(pod, withResource)
    if (round > 0) measured.push(ms)
    if (round % 10 === 0) say(`${name}: ${round} of ${rounds}`)
  }
  return measured
}

async function timeBinding(name: string, withResource: boolean): Promise<number> {
  const limits = withResource ? { [resource]: '1' } : {}
  const container = { name: 'upf', image: 'localhost/upf-cnf:demo', imagePullPolicy: 'Never', resources: { limits } }
  const spec = { schedulerName: 'jit-eni', terminationGracePeriodSeconds: 1, containers: [container] }
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec }
  const createdAt = Date.now()
  await observer.api.request('POST', '/api/v1/namespaces/default/pods', { body })
  await until(() => observer.pods.get(`default/${name}`)?.running === true)
  await observer.api.request('DELETE', podPath('default', name))
  await until(() => observer.pods.get(`default/${name}`) === undefined)
  return (await bindings.receivedAt('default', name)) - createdAt
}

async function applyNodeENI(releaseAfter: string): Promise<void> {
  const spec = {
    nodeSelector: labels,
    subnetID: network.userPlaneSubnet,
    securityGroupIDs: [network.userPlaneGroup],
    enableDPDK: true,
    dpdkResourceName: resource,
    releaseAfter,
  }
  const nodeENI = { apiVersion: 'networking.k8s.aws/v1alpha1', kind: 'NodeENI', metadata: { name: 'user-plane' }, spec }
  await installation.cluster.kubectl(['apply', '-f', '-'], { input: asStream([nodeENI]) })
  const registered = `--for=jsonpath={.status.capacity.${resource.replaceAll('.', '\\.')}}`
  await installation.cluster.kubectl(['wait', 'node', '--all', registered, '--timeout=60s'])
  await installation.cluster.kubectl(['wait', 'nodeeni', 'user-plane', '--for=condition=Ready', '--timeout=60s'])
}

function until(holds: () => boolean): Promise<void> {
  return observer.until(holds, AbortSignal.timeout(hungAfterMs))
}

// The device plugin as it is deployed: the DaemonSet of deploy/ on real kubelets, from an image of this checkout. It has the manifest's
// rights, mounts and settings; changed is only what the machine has elsewhere or has not, listed in `onSimulatedNodes` and `onGuests`.
import type { Cluster } from '../cluster/cluster.ts'
import { cardModel } from '../guest/cards.ts'
import { writeDevicePluginImage } from './device-plugin-image.ts'
import { asStream, deployManifests, type Manifest } from './manifests.ts'

/** In a virtual machine on a busy machine it takes a minute to start. */
const rolledOutDeadline = '180s'
/** On each node, where its simulated sys, dev and proc are. */
export const machineRoot = '/var/lib/machine'

interface Container {
  readonly image: string
  readonly env: readonly { readonly name: string }[]
  readonly startupProbe: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
  readonly securityContext: {
    readonly capabilities: { readonly add?: readonly string[]; readonly drop: readonly string[] }
  }
}

interface Probe {
  readonly httpGet: { readonly host?: string }
}

interface Volume {
  readonly name: string
  readonly hostPath: object
}

interface PodSpec {
  readonly nodeSelector: Readonly<Record<string, string>>
  readonly containers: readonly [Container]
  readonly volumes: readonly Volume[]
}

export interface DaemonSet extends Manifest {
  readonly spec: { readonly template: { readonly spec: PodSpec } }
}

/** A node label: on virtual machines, which alone get the pods of `onGuests`. */
export const guestLabel = { 'machine.jit-eni/guest': 'true' }

/** Writes the image that the manifest of deploy/ names; returns the path of the archive, below `directory`. */
export async function writeDeployedImage(directory: string): Promise<string> {
  const [{ image }] = deployedDaemonSet().spec.template.spec.containers
  return writeDevicePluginImage(directory, image)
}

/** For nodes that have the image. Resolves when every one of them has a pod that is ready: all its resources are registered. */
export async function startDevicePluginPods(
  cluster: Cluster,
  adapted: (daemonSet: DaemonSet) => DaemonSet,
  signal?: AbortSignal,
): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-'], { input: asStream([adapted(deployedDaemonSet())]), signal })
  await devicePluginsRolledOut(cluster, signal)
}

export async function devicePluginsRolledOut(cluster: Cluster, signal?: AbortSignal): Promise<void> {
  const { name } = deployedDaemonSet().metadata
  await cluster.kubectl(['rollout', 'status', `daemonset/${name}`, '-n', 'jit-eni', `--timeout=${rolledOutDeadline}`], {
    signal,
  })
}

/** As deploy/ has it. */
export function deployedDaemonSet(): DaemonSet {
  const found = deployManifests().find(({ kind }) => kind === 'DaemonSet')
  if (found === undefined) throw new Error('deploy/ has no DaemonSet')
  return found as DaemonSet
}

/** Their sysfs, dev and proc are directories; they share the machine's loopback interface. */
export function onSimulatedNodes(daemonSet: DaemonSet): DaemonSet {
  return withPodSpec(daemonSet, (spec) => ({
    ...spec,
    containers: [containerOnSimulatedNode(spec.containers[0])],
    volumes: [
      // In place of the machine's own.
      ...spec.volumes.map((volume) =>
        volume.name === 'sys' ? { ...volume, hostPath: { path: `${machineRoot}/sys`, type: 'Directory' } } : volume,
      ),
      { name: 'proc', hostPath: { path: `${machineRoot}/proc`, type: 'Directory' } },
    ],
  }))
}

/** Their cards are Intel's, for QEMU has no ENA, and there are no instance metadata. */
export function onGuests(daemonSet: DaemonSet): DaemonSet {
  const changedEnv = [
    { name: 'JIT_ENI_ALLOWED_DEVICES', value: cardModel.pciId },
    { name: 'JIT_ENI_INSTANCE_METADATA', value: 'off' },
  ]
  return withPodSpec(daemonSet, (spec) => ({
    ...spec,
    nodeSelector: { ...spec.nodeSelector, ...guestLabel },
    containers: [withEnv(spec.containers[0], changedEnv)],
  }))
}

function withPodSpec(daemonSet: DaemonSet, change: (spec: PodSpec) => PodSpec): DaemonSet {
  const { spec } = daemonSet
  return { ...daemonSet, spec: { ...spec, template: { ...spec.template, spec: change(spec.template.spec) } } }
}

function withEnv(container: Container, changed: Container['env']): Container {
  const names = new Set(changed.map(({ name }) => name))
  return { ...container, env: [...container.env.filter(({ name }) => !names.has(name)), ...changed] }
}

function containerOnSimulatedNode(container: Container): Container {
  const changedEnv = [
    { name: 'NODE_ADDRESS', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
    // All simulated nodes share the machine's loopback interface, but each has an address of its own.
    { name: 'JIT_ENI_STATUS_LISTEN', value: '$(NODE_ADDRESS):9101' },
    { name: 'JIT_ENI_DEV', value: `${machineRoot}/dev` },
    { name: 'JIT_ENI_PROC', value: '/host/proc' },
    // Nobody serves it here.
    { name: 'JIT_ENI_INSTANCE_METADATA', value: 'off' },
  ]
  return {
    ...withEnv(container, changedEnv),
    startupProbe: atNodeAddress(container.startupProbe),
    livenessProbe: atNodeAddress(container.livenessProbe),
    readinessProbe: atNodeAddress(container.readinessProbe),
    volumeMounts: [...container.volumeMounts, { name: 'proc', mountPath: '/host/proc', readOnly: true }],
  }
}

/** A probe without a host goes to the pod's address, which is the node's. */
function atNodeAddress(probe: Probe): Probe {
  const { host: _, ...httpGet } = probe.httpGet
  return { ...probe, httpGet }
}

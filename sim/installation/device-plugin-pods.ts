// The device plugin as it is deployed: the DaemonSet of deploy/ on real kubelets, from an image of this checkout. It has the manifest's
// rights, mounts and settings; changed is only what the simulated machine has elsewhere, listed in `onSimulatedNodes`.
import type { Cluster } from '../cluster/cluster.ts'
import { writeDevicePluginImage } from './device-plugin-image.ts'
import { asStream, deployManifests, type Manifest } from './manifests.ts'

/** On each node, where its simulated sys, dev and proc are. */
export const machineRoot = '/var/lib/machine'

interface Container {
  readonly image: string
  readonly env: readonly { readonly name: string }[]
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

interface DaemonSet extends Manifest {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: readonly [Container]; readonly volumes: readonly Volume[] }
    }
  }
}

/** Resolves when every node has a pod that is ready: all its resources are registered. */
export async function startDevicePluginPods(cluster: Cluster, signal?: AbortSignal): Promise<void> {
  const daemonSet = deployedDaemonSet()
  const [{ image }] = daemonSet.spec.template.spec.containers
  const archive = await writeDevicePluginImage(cluster.runDir, image)
  await Promise.all(cluster.nodes.map((node) => node.importImages(archive, signal)))
  await cluster.kubectl(['apply', '-f', '-'], { input: asStream([onSimulatedNodes(daemonSet)]), signal })
  await devicePluginsRolledOut(cluster, signal)
}

export async function devicePluginsRolledOut(cluster: Cluster, signal?: AbortSignal): Promise<void> {
  const { name } = deployedDaemonSet().metadata
  await cluster.kubectl(['rollout', 'status', `daemonset/${name}`, '-n', 'jit-eni', '--timeout=90s'], { signal })
}

/** As deploy/ has it. */
export function deployedDaemonSet(): DaemonSet {
  const found = deployManifests().find(({ kind }) => kind === 'DaemonSet')
  if (found === undefined) throw new Error('deploy/ has no DaemonSet')
  return found as DaemonSet
}

function onSimulatedNodes(daemonSet: DaemonSet): DaemonSet {
  const { template, ...spec } = daemonSet.spec
  const [container] = template.spec.containers
  return {
    ...daemonSet,
    spec: {
      ...spec,
      template: {
        ...template,
        spec: {
          ...template.spec,
          containers: [containerOnSimulatedNode(container)],
          volumes: [
            // In place of the machine's own.
            ...template.spec.volumes.map((volume) =>
              volume.name === 'sys'
                ? { ...volume, hostPath: { path: `${machineRoot}/sys`, type: 'Directory' } }
                : volume,
            ),
            { name: 'proc', hostPath: { path: `${machineRoot}/proc`, type: 'Directory' } },
          ],
        },
      },
    },
  }
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
  const changed = new Set(changedEnv.map(({ name }) => name))
  return {
    ...container,
    env: [...container.env.filter(({ name }) => !changed.has(name)), ...changedEnv],
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

// A Node object as large as those of real clusters, about 15 KB: 50 images, 25 labels, what EKS and the kubelet write besides.
import { capacityAnnotation, zoneLabel } from '../../src/api/names.ts'
import { instanceIdOf } from '../installation/account.ts'

const imagesOnNode = 50
const labelsOfOthers = 18
const megabyte = 2 ** 20

export interface FleetShape {
  /** Node by node in turn. */
  readonly zones: readonly string[]
  readonly instanceType: string
  /** What NodeENIs select by. */
  readonly labels: Readonly<Record<string, string>>
  /** Extended resources with their count: a name that is missing is one that no device plugin has registered. */
  readonly devices: Readonly<Record<string, number>>
  /** ENIs that can be attached to each node, as an attacher says it; unless given, that is the attacher's to say. */
  readonly slots?: number
}

export const defaultShape: FleetShape = {
  zones: ['eu-west-1a', 'eu-west-1b', 'eu-west-1c'],
  instanceType: 'm5.4xlarge',
  labels: { ng: 'multi-eni' },
  devices: { 'intel.com/upf_dataplane': 0 },
}

export interface FleetNode {
  readonly name: string
  readonly instanceID: string
  readonly zone: string
}

export function fleetNodeAt(index: number, { zones }: Pick<FleetShape, 'zones'>): FleetNode {
  return {
    name: `ip-10-${Math.floor(index / 65_536)}-${Math.floor(index / 256) % 256}-${index % 256}.eu-west-1.compute.internal`,
    instanceID: instanceIdOf(index),
    zone: zones[index % zones.length] ?? '',
  }
}

/** The body of one POST: the API server takes a Node's status at its creation (registry/core/node/strategy.go). */
export function nodeManifest({ name, instanceID, zone }: FleetNode, shape: FleetShape, time: string): object {
  const devices = Object.fromEntries(Object.entries(shape.devices).map(([resource, count]) => [resource, `${count}`]))
  const room = { cpu: '64', memory: '262144Mi', 'ephemeral-storage': '104845292Ki', pods: '250', ...devices }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: { ...kubeletLabels(name, zone, shape.instanceType), ...shape.labels, ...labelsByOthers(name) },
      annotations: {
        'alpha.kubernetes.io/provided-node-ip': addressOf(name),
        'csi.volume.kubernetes.io/nodeid': JSON.stringify({ 'ebs.csi.aws.com': instanceID }),
        'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
        ...(shape.slots !== undefined && { [capacityAnnotation]: capacityOf(instanceID, shape.slots) }),
      },
    },
    spec: { providerID: `aws:///${zone}/${instanceID}` },
    status: {
      capacity: room,
      allocatable: room,
      addresses: [
        { type: 'InternalIP', address: addressOf(name) },
        { type: 'InternalDNS', address: name },
        { type: 'Hostname', address: name },
      ],
      conditions: conditions(time),
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
      images: Array.from({ length: imagesOnNode }, (_, image) => imageOnNode(image)),
      nodeInfo: {
        architecture: 'amd64',
        bootID: bootIDOf(instanceID),
        containerRuntimeVersion: 'containerd://2.1.5',
        kernelVersion: '6.1.155-176.282.amzn2023.x86_64',
        kubeProxyVersion: '',
        kubeletVersion: 'v1.36.3',
        machineID: instanceID.slice(2).padStart(32, '0'),
        operatingSystem: 'linux',
        osImage: 'Amazon Linux 2023.9.20251117',
        systemUUID: bootIDOf(instanceID),
      },
    },
  }
}

function kubeletLabels(name: string, zone: string, instanceType: string): Record<string, string> {
  return {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
    'node.kubernetes.io/instance-type': instanceType,
    'topology.kubernetes.io/region': 'eu-west-1',
    [zoneLabel]: zone,
  }
}

function labelsByOthers(name: string): Record<string, string> {
  const pairs = Array.from({ length: labelsOfOthers }, (_, n) => [
    `feature.node.kubernetes.io/cpu-hardware-feature-${n}`,
    n === 0 ? name.split('.')[0] : `value-${n}`,
  ])
  return Object.fromEntries(pairs) as Record<string, string>
}

function capacityOf(instanceID: string, slots: number): string {
  // The primary interface has a slot too.
  return JSON.stringify({ instanceID, cards: [{ index: 0, limit: slots + 1, foreign: 1 }] })
}

function conditions(time: string): object[] {
  const one = (type: string, status: string, reason: string, message: string) => {
    return { type, status, reason, message, lastHeartbeatTime: time, lastTransitionTime: time }
  }
  return [
    one('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
    one('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    one('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    one('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
  ]
}

function imageOnNode(image: number): object {
  const repository = `602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/component-${image}`
  const digest = image.toString(16).padStart(2, '0').repeat(32)
  return {
    names: [`${repository}@sha256:${digest}`, `${repository}:v1.36.${image}`],
    sizeBytes: (image + 1) * megabyte,
  }
}

function addressOf(name: string): string {
  return (name.split('.')[0] ?? '').replace('ip-', '').replaceAll('-', '.')
}

function bootIDOf(instanceID: string): string {
  const digits = instanceID.slice(2).padStart(32, '0')
  return [8, 12, 16, 20, 32].map((end, part, ends) => digits.slice(ends[part - 1] ?? 0, end)).join('-')
}

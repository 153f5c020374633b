// Devices that come and go for ever: an ENIAttachment is made and its card plugged, the card is bound and advertised, the claim
// acknowledged; then the object is deleted, the card restored and unplugged. Three lists to the kubelet each: the device Healthy,
// Unhealthy, gone. Every fourth device is given to a pod meanwhile.
import type { Kubelet } from '../../sim/kubelet/kubelet.ts'
import type { PciBus } from '../../sim/pci/bus.ts'
import { type ENIAttachment, newAttachment } from '../../src/api/eni-attachment.ts'
import { apiVersion } from '../../src/api/names.ts'
import type { FakeApiServer } from '../../test/kube-api/fake-api-server.ts'

export const nodeName = 'node-a'
export const resource = 'intel.com/upf_dataplane'
const instanceID = 'i-0123456789abcdef0'

interface World {
  readonly api: FakeApiServer
  readonly kubelet: Kubelet
  readonly bus: PciBus
}

export function addNode({ api }: World): void {
  const labels = { upf: 'yes' }
  api
    .store('nodes')
    .create({ metadata: { name: nodeName, labels } as object, spec: { providerID: `aws:///zone/${instanceID}` } })
  const subnet = { subnetID: 'subnet-1', securityGroupIDs: ['sg-1'] }
  api.store('nodeenis').create({
    apiVersion,
    kind: 'NodeENI',
    metadata: { name: 'upf' },
    spec: { nodeSelector: labels, ...subnet, enableDPDK: true, dpdkResourceName: resource },
  })
}

export class DeviceLives {
  readonly #world: World
  #lives = 0

  constructor(world: World) {
    this.#world = world
  }

  /** So many devices at once, each followed by the next, until the signal aborts and the last of them has gone. */
  async run(atOnce: number, signal: AbortSignal): Promise<void> {
    const lane = async () => {
      while (!signal.aborted) await this.#live(++this.#lives)
    }
    await Promise.all(Array.from({ length: atOnce }, lane))
  }

  async #live(life: number): Promise<void> {
    const { api, kubelet, bus } = this.#world
    const name = `life-${life}`
    const mac = `02:00:00:${[life >> 16, life >> 8, life].map((byte) => (byte & 255).toString(16).padStart(2, '0')).join(':')}`
    const pod = { namespace: 'core', name: `pod-${life}` }
    const claim = { ...pod, uid: `uid-${life}` }
    const spec = { nodeENI: 'upf', nodeName, instanceID, resourceName: resource }
    const attachments = api.store('eniattachments')
    attachments.create({
      ...(newAttachment(name, { ...spec, claim }) as { readonly metadata: object }),
      status: { phase: 'Attaching', eni: { eniID: `eni-${life}`, mac } },
    })
    await bus.plug({ mac, eniId: `eni-${life}`, deviceIndex: 1 })
    await api.until('eniattachments', name, (is) => statusOf(is).device?.acknowledged === claim.uid)
    if (life % 4 === 0) {
      const { admitted } = await kubelet.admit({ ...pod, resource, count: 1 })
      if (admitted) kubelet.endPod(pod)
    }
    attachments.update(name, (object) => ({ ...object, spec }))
    attachments.delete(name)
    await api.until('eniattachments', name, (is) => is?.metadata.finalizers?.length === 1)
    attachments.update(name, (object) => ({ ...object, metadata: { ...object.metadata, finalizers: [] } }))
    await bus.unplug({ mac })
  }
}

function statusOf(object: unknown): NonNullable<ENIAttachment['status']> {
  return (object as ENIAttachment | undefined)?.status ?? {}
}

// Cards and attachments as plain data, for tests of the rules.
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { apiVersion, deviceFinalizer, eniFinalizer } from '../../src/api/names.ts'
import type { HostLink } from '../../src/device-plugin/host-links.ts'
import type { JournalEntry } from '../../src/device-plugin/journal.ts'
import type { KnownCard } from '../../src/device-plugin/match.ts'
import { instanceID, resource } from './cluster-in-memory.ts'

export const mac = '02:00:00:00:00:66'

export function cardAt(pciAddress: string, more: Partial<KnownCard> = {}): KnownCard {
  return {
    pciAddress,
    inode: '100',
    deviceID: '1d0f:ec20',
    driver: 'ena',
    isOpen: false,
    interfaces: [],
    iommuGroup: undefined,
    groupMates: [],
    isNodeMissing: false,
    uio: undefined,
    numaNode: undefined,
    entry: undefined,
    ...more,
  }
}

export function entryFor(card: KnownCard, uid: string, more: Partial<JournalEntry> = {}): JournalEntry {
  return {
    bootID: 'boot-1',
    pciAddress: card.pciAddress,
    inode: card.inode,
    mac,
    eniID: 'eni-1',
    attachment: 'a',
    attachmentUID: uid,
    resourceName: resource,
    originalDriver: 'ena',
    wantedDriver: 'vfio-pci',
    ...more,
  }
}

export function linkOf(more: Partial<HostLink> = {}): HostLink {
  return {
    index: 7,
    name: 'ens6',
    mac,
    altNames: [],
    mtu: 1500,
    maxMtu: 9216,
    isUp: false,
    master: undefined,
    uppers: [],
    uppersElsewhere: 0,
    addresses: [],
    ...more,
  }
}

export interface AttachmentParts {
  readonly uid?: string
  readonly mac?: string | undefined
  readonly spec?: Partial<ENIAttachment['spec']>
  readonly device?: NonNullable<ENIAttachment['status']>['device']
  readonly deleting?: boolean
}

export function attachmentOf(parts: AttachmentParts = {}): ENIAttachment {
  const { uid = 'uid-a', spec, device, deleting = false } = parts
  const address = 'mac' in parts ? parts.mac : mac
  return {
    apiVersion,
    kind: 'ENIAttachment',
    metadata: {
      name: 'a',
      uid,
      resourceVersion: '1',
      finalizers: [eniFinalizer, deviceFinalizer],
      ...(deleting && { deletionTimestamp: '2030-01-01T00:00:00Z' }),
    },
    spec: { nodeENI: 'upf', nodeName: 'node-a', instanceID, resourceName: resource, ...spec },
    status: { eni: { eniID: 'eni-1', ...(address !== undefined && { mac: address }) }, ...(device && { device }) },
  }
}

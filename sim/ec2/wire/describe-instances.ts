// DescribeInstances: one reservation for each instance, its interfaces and volumes included.

import type { Ec2State } from '../state/ec2-state.ts'
import type { InterfaceView } from '../state/interface-view.ts'
import type { Instance, InstanceState } from '../state/instance.ts'
import { refusals } from '../state/refusals.ts'
import { zoneId } from '../state/zone-id.ts'

import { type Action, action } from './action.ts'
import { type FilterTable, filtered, readFilters } from './filters.ts'
import { withIds } from './ids.ts'
import { groupSet, interfaceOfInstanceElement } from './interface-element.ts'
import { page, readPage } from './page.ts'
import { tagSet } from './tag-parameters.ts'
import type { XmlElements, XmlValue } from './xml.ts'

const pageLimits = { least: 5, most: 1000 }
const stateCodes: Readonly<Record<InstanceState, number>> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
}

export const instanceFilters = (view: InterfaceView): FilterTable<Instance> => ({
  'instance-id': (instance) => [instance.instanceId],
  'instance-type': (instance) => [instance.instanceType],
  'instance-state-name': (instance) => [instance.state],
  'instance-state-code': (instance) => [stateCodes[instance.state]],
  'availability-zone': (instance) => [instance.availabilityZone],
  'availability-zone-id': (instance) => [zoneId(instance.availabilityZone)],
  'private-dns-name': (instance) => (isOver(instance) ? [] : [instance.privateDnsName]),
  'subnet-id': (instance) => (isOver(instance) ? [] : [instance.subnetId]),
  'vpc-id': (instance) => (isOver(instance) ? [] : [instance.vpcId]),
  'network-interface.network-interface-id': (instance) => view.on(instance.instanceId).map(({ eniId }) => eniId),
})

export const describeInstances: Action = action(
  (parameters) => {
    parameters.at('IncludeManagedResources').boolean() // Nothing here is managed by another AWS service.
    const ids = parameters.at('InstanceId').texts()
    return {
      ids,
      filters: readFilters(parameters),
      pages: readPage(parameters, pageLimits, { name: 'instancesSet', ids }),
    }
  },
  (state, { ids, filters, pages }) => {
    const named = withIds(state.instances(), ids, 'i', (instance) => instance.instanceId, refusals.instanceNotFound)
    const view = state.view()
    const { items, nextToken } = page(filtered(named, filters, instanceFilters(view)), pages)
    return { reservationSet: items.map((instance) => reservation(state, view, instance)), nextToken }
  },
)

function reservation(state: Ec2State, view: InterfaceView, instance: Instance): XmlElements {
  return {
    reservationId: `r-${instance.instanceId.slice(2)}`,
    ownerId: state.accountId,
    instancesSet: [instanceElement(state, view, instance)],
  }
}

function instanceElement(state: Ec2State, view: InterfaceView, instance: Instance): XmlElements {
  const enis = view.on(instance.instanceId)
  const primary = enis.find(({ attachment }) => attachment?.deviceIndex === 0 && attachment.networkCard === 0)
  return {
    instanceId: instance.instanceId,
    instanceType: instance.instanceType,
    instanceState: { code: stateCodes[instance.state], name: instance.state },
    architecture: instance.limits.architecture,
    privateDnsName: isOver(instance) ? '' : instance.privateDnsName,
    privateIpAddress: primary?.privateIpAddresses[0],
    placement: {
      availabilityZone: instance.availabilityZone,
      availabilityZoneId: zoneId(instance.availabilityZone),
      tenancy: 'default',
    },
    launchTime: new Date(instance.launchTime).toISOString(),
    ...(isOver(instance) ? {} : { subnetId: instance.subnetId, vpcId: instance.vpcId }),
    sourceDestCheck: primary?.sourceDestCheck,
    groupSet: groupSet(state, primary?.groupIds ?? []),
    networkInterfaceSet: enis.map((eni) => interfaceOfInstanceElement(state, eni)),
    blockDeviceMapping: isOver(instance) ? [] : volumes(instance),
    tagSet: tagSet(instance.tags),
  }
}

/** A terminated instance is in no subnet and no VPC any more. */
function isOver({ state }: Instance): boolean {
  return state === 'terminated'
}

function volumes(instance: Instance): XmlValue {
  return Array.from({ length: instance.ebsVolumes }, (_, at) => ({
    deviceName: at === 0 ? '/dev/xvda' : `/dev/xvdb${String.fromCharCode('a'.charCodeAt(0) + at - 1)}`,
    ebs: { volumeId: `vol-${instance.instanceId.slice(2)}${at}`, status: 'attached', deleteOnTermination: at === 0 },
  }))
}

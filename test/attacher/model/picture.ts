// What is there when something is found broken, one line each.
import { type ENIAttachment, isDeleting, phaseOf } from '../../../src/api/eni-attachment.ts'
import type { NodeENI } from '../../../src/api/node-eni.ts'
import type { Lab } from '../lab/lab.ts'

export function picture({ api, scene, ec2 }: Lab): string[] {
  return [
    ...scene.attachments().map(attachmentLine),
    ...(api.store('nodeenis').list() as unknown as NodeENI[]).map(nodeENILine),
    ...ec2.state.instances().map(({ instanceId, instanceType, state }) => {
      const enis = ec2.state
        .enisOn(instanceId)
        .map(({ eniId, attachment: at }) => `${at?.networkCard}/${at?.deviceIndex} ${eniId} ${at?.status}`)
      return `  ${instanceId} (${instanceType}) ${state}: ${enis.join(', ')}`
    }),
    ...ec2.state
      .enis()
      .filter(({ attachment }) => attachment === undefined)
      .map(({ eniId, status, description }) => `  ${eniId} ${status}: ${description}`),
  ]
}

function attachmentLine(attachment: ENIAttachment): string {
  const { metadata, spec, status } = attachment
  const { eni, device } = status ?? {}
  const failure = eni?.failure ?? device?.failure
  const words = [
    `${metadata.name} of ${spec.nodeENI} on ${spec.nodeName} (${spec.instanceID}), made ${metadata.creationTimestamp}`,
    phaseOf(attachment),
    ...(isDeleting(attachment)
      ? [`deleted ${metadata.deletionTimestamp}, finalizers ${metadata.finalizers?.join(' ')}`]
      : []),
    ...(eni?.eniID === undefined ? [] : [`${eni.networkCard}/${eni.deviceIndex} ${eni.eniID}`]),
    ...(eni?.idleSince === undefined ? [] : [`idle since ${eni.idleSince}`]),
    ...(device?.advertised === true ? ['advertised'] : []),
    ...(spec.claim === undefined ? [] : [`claimed by ${spec.claim.name}`]),
    ...(device?.acknowledged === undefined ? [] : ['acknowledged']),
    ...(device?.inUseBy === undefined ? [] : [`in use by ${device.inUseBy.name}`]),
    ...(failure === undefined ? [] : [`${failure.terminal ? 'failed' : 'failing'}: ${failure.message}`]),
  ]
  return `  ${words.join('; ')}`
}

function nodeENILine({ metadata, spec, status }: NodeENI): string {
  const conditions = (status?.conditions ?? []).map(({ type, status: is, reason }) => `${type}=${is} (${reason})`)
  const end = metadata.deletionTimestamp === undefined ? '' : `, deleted ${metadata.deletionTimestamp}`
  return `  NodeENI ${metadata.name}${end}: ${JSON.stringify(spec)} ${conditions.join(', ')}`
}

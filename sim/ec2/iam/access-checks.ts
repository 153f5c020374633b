// Which questions each call of EC2 puts to IAM. Source: Service Authorization Reference for Amazon EC2, resource types and keys of
// each action; that ModifyNetworkInterfaceAttribute asks for the groups, deckhouse pull request 10853 shows.
// Inferred, since no source says it: the instance is asked for when the change is one of the attachment; the default group of a
// create without groups is asked for; a key of DeleteTags without a value is in aws:TagKeys and not in aws:RequestTag.
// An interface that is too new for a caller's calls (eventual consistency) is asked for all the same, with its tags unless
// `newTagsMs` says that IAM does not know them yet.
// A resource that EC2 does not know is asked for all the same, without tags. So a policy that goes by tags answers
// UnauthorizedOperation where a free one lets EC2 say NotFound: Terraform met it at a detach whose attachment was gone
// (terraform-provider-aws pull request 46211).

import type { Ec2State } from '../state/ec2-state.ts'
import type { Parameter } from '../wire/parameter.ts'
import { readTags, readTagSpecifications } from '../wire/tag-parameters.ts'

import { resourceArn } from './arn.ts'
import { contextOf } from './condition-keys.ts'
import type { AccessCheck } from './policy.ts'
import {
  type Facts,
  type Resource,
  instance,
  known,
  networkInterface,
  securityGroup,
  sidesOf,
  subnet,
} from './resources.ts'

type Asks = (state: Ec2State, parameters: Parameter) => readonly Question[]

interface Question extends Resource {
  /** Where it is another than that of the call. */
  readonly action?: string
}

/** @throws Ec2Error MissingParameter, as the action itself would. */
export function accessChecks(state: Ec2State, action: string, parameters: Parameter): AccessCheck[] {
  const asks = action.startsWith('Describe') ? describes : asksOf[action]
  if (asks === undefined) throw new Error(`what ${action} asks of IAM is not modelled`)
  return asks(state, parameters).map((question) => ({
    action: `ec2:${question.action ?? action}`,
    resource: question.arn,
    context: contextOf({ ...requestFacts(state), ...question.facts }),
  }))
}

/** No Describe action can be narrowed to a resource. */
const describes: Asks = () => [{ arn: '*', facts: {} }]

const asksOf: Readonly<Record<string, Asks>> = {
  CreateNetworkInterface(state, parameters) {
    const subnetId = parameters.at('SubnetId').requiredText()
    const tags = [...readTagSpecifications(parameters, 'network-interface')].map(([key, value]) => ({ key, value }))
    const made = { arn: resourceArn(state, 'network-interface', '*'), facts: requestTagFacts(tags) }
    const tagged = {
      ...made,
      action: 'CreateTags',
      facts: { ...made.facts, 'ec2:CreateAction': 'CreateNetworkInterface' },
    }
    const groupIds = groupsOfNew(state, subnetId, parameters.at('SecurityGroupId').texts())
    const groups = groupIds.map((groupId) => securityGroup(state, groupId))
    return [made, subnet(state, subnetId), ...groups, ...(tags.length > 0 ? [tagged] : [])]
  },

  AttachNetworkInterface: (state, parameters) => [
    networkInterface(state, parameters.at('NetworkInterfaceId').requiredText()),
    instance(state, parameters.at('InstanceId').requiredText()),
  ],

  DetachNetworkInterface(state, parameters) {
    const { eniId, instanceId } = sidesOf(state, parameters.at('AttachmentId').requiredText())
    return [networkInterface(state, eniId), instance(state, instanceId)]
  },

  DeleteNetworkInterface: (state, parameters) => [
    networkInterface(state, parameters.at('NetworkInterfaceId').requiredText()),
  ],

  ModifyNetworkInterfaceAttribute(state, parameters) {
    const eni = networkInterface(state, parameters.at('NetworkInterfaceId').requiredText())
    const groupIds = parameters.at('SecurityGroupId').texts()
    const attachment = parameters.at('Attachment')
    return [
      eni,
      ...groupIds.map((groupId) => securityGroup(state, groupId)),
      ...(attachment.sent
        ? [instance(state, sidesOf(state, attachment.at('AttachmentId').requiredText()).instanceId)]
        : []),
    ]
  },

  DeleteSubnet: (state, parameters) => [subnet(state, parameters.at('SubnetId').requiredText())],

  DeleteSecurityGroup: (state, parameters) => [securityGroup(state, parameters.at('GroupId').requiredText())],

  CreateTags: (state, parameters) =>
    taggedResources(state, parameters).map(({ arn, facts }) => ({
      arn,
      facts: { ...facts, ...requestTagFacts(readTags(parameters)) },
    })),

  /** Of the resource only its tags can be asked for here. */
  DeleteTags: (state, parameters) =>
    taggedResources(state, parameters).map(({ arn, facts }) => ({
      arn,
      facts: { ...onlyTags(facts), ...requestTagFacts(readTags(parameters)) },
    })),
}

/** SDKs speak to EC2 over TLS only; here there may be none. */
function requestFacts({ region }: Ec2State): Facts {
  return { 'aws:RequestedRegion': region, 'ec2:Region': region, 'aws:SecureTransport': 'true' }
}

/** Without tags there is no aws:TagKeys either: DeleteTags that names none deletes all, and a policy must look for that with Null. */
function requestTagFacts(tags: readonly { readonly key: string; readonly value: string | undefined }[]): Facts {
  if (tags.length === 0) return {}
  const withValues = tags.flatMap(({ key, value }) => (value === undefined ? [] : [[`aws:RequestTag/${key}`, value]]))
  return { ...Object.fromEntries(withValues), 'aws:TagKeys': tags.map(({ key }) => key) }
}

function groupsOfNew(state: Ec2State, subnetId: string, groupIds: readonly string[]): readonly string[] {
  if (groupIds.length > 0) return groupIds
  return known(() => state.groupsFor(state.subnet(subnetId).vpcId, [])) ?? []
}

/** An id of a kind that is not modelled asks for nothing: the action refuses it. */
function taggedResources(state: Ec2State, parameters: Parameter): Resource[] {
  return parameters
    .at('ResourceId')
    .texts()
    .flatMap((id) => {
      const kind = resourceOfKind[id.slice(0, id.indexOf('-'))]
      return kind === undefined ? [] : [kind(state, id)]
    })
}

const resourceOfKind: Readonly<Record<string, (state: Ec2State, id: string) => Resource>> = {
  eni: networkInterface,
  i: instance,
  subnet,
  sg: securityGroup,
}

function onlyTags(facts: Facts): Facts {
  return Object.fromEntries(Object.entries(facts).filter(([key]) => key.includes(':ResourceTag/')))
}

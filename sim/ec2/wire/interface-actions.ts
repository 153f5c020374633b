// The actions that change network interfaces: create, attach, detach, delete, modify.

import { attachNetworkInterface } from '../state/attach-network-interface.ts'
import { createNetworkInterface } from '../state/create-network-interface.ts'
import { deleteNetworkInterface } from '../state/delete-network-interface.ts'
import { detachNetworkInterface } from '../state/detach-network-interface.ts'
import { type AttributeChange, modifyNetworkInterface } from '../state/modify-network-interface.ts'
import { refusals } from '../state/refusals.ts'

import { type Action, action } from './action.ts'
import { interfaceElement } from './interface-element.ts'
import type { Parameter } from './parameter.ts'
import { readTagSpecifications } from './tag-parameters.ts'

const maximumTokenLength = 64
const done = { return: true }

export const interfaceActions = {
  CreateNetworkInterface: action(
    (parameters) => ({
      clientToken: readClientToken(parameters),
      create: {
        subnetId: parameters.at('SubnetId').requiredText(),
        groupIds: parameters.at('SecurityGroupId').texts(),
        description: parameters.at('Description').text(),
        interfaceType: readInterfaceType(parameters),
        privateIpAddress: parameters.at('PrivateIpAddress').text(),
        secondaryPrivateIpAddressCount: parameters.at('SecondaryPrivateIpAddressCount').integer(),
        ipv6AddressCount: parameters.at('Ipv6AddressCount').integer(),
        tags: readTagSpecifications(parameters, 'network-interface'),
      },
    }),
    (state, { create, clientToken }) => ({
      networkInterface: interfaceElement(state, createNetworkInterface(state, create, clientToken)),
      clientToken,
    }),
  ),

  AttachNetworkInterface: action(
    (parameters) => ({
      eniId: parameters.at('NetworkInterfaceId').requiredText(),
      instanceId: parameters.at('InstanceId').requiredText(),
      deviceIndex: parameters.at('DeviceIndex').requiredInteger(),
      networkCard: parameters.at('NetworkCardIndex').integer() ?? 0,
      enaExpress: parameters.at('EnaSrdSpecification').at('EnaSrdEnabled').boolean(),
    }),
    (state, request) => {
      const { attachmentId, networkCard } = attachNetworkInterface(state, request)
      return { attachmentId, networkCardIndex: networkCard }
    },
  ),

  DetachNetworkInterface: action(
    (parameters) => ({
      attachmentId: parameters.at('AttachmentId').requiredText(),
      force: parameters.at('Force').boolean(),
    }),
    (state, request) => {
      detachNetworkInterface(state, request)
      return done
    },
  ),

  DeleteNetworkInterface: action(
    (parameters) => parameters.at('NetworkInterfaceId').requiredText(),
    (state, eniId) => {
      deleteNetworkInterface(state, eniId)
      return done
    },
  ),

  ModifyNetworkInterfaceAttribute: action(
    (parameters) => ({ eniId: parameters.at('NetworkInterfaceId').requiredText(), changes: readChanges(parameters) }),
    (state, { eniId, changes }) => {
      modifyNetworkInterface(state, eniId, changes)
      return done
    },
  ),
} satisfies Readonly<Record<string, Action>>

function readClientToken(parameters: Parameter): string | undefined {
  const token = parameters.at('ClientToken').text()
  if (token !== undefined && token.length > maximumTokenLength) {
    throw refusals.badValue(token, 'clientToken', `Expecting at most ${maximumTokenLength} characters.`)
  }
  return token
}

/** Elastic Fabric Adapters and trunks are not modelled, and are refused rather than made as something else. */
function readInterfaceType(parameters: Parameter): string | undefined {
  const type = parameters.at('InterfaceType').text()
  if (type !== undefined && type !== 'interface') throw refusals.badValue(type, 'interfaceType', 'Expecting interface.')
  return type
}

function readChanges(parameters: Parameter): AttributeChange[] {
  const description = parameters.at('Description').at('Value').text()
  const sourceDestCheck = parameters.at('SourceDestCheck').at('Value').boolean()
  const groups = parameters.at('SecurityGroupId').texts()
  const attachment = parameters.at('Attachment')

  const changes: AttributeChange[] = []
  if (description !== undefined) changes.push({ attribute: 'description', value: description })
  if (sourceDestCheck !== undefined) changes.push({ attribute: 'sourceDestCheck', value: sourceDestCheck })
  if (groups.length > 0) changes.push({ attribute: 'groupSet', value: groups })
  if (attachment.sent) {
    const attachmentId = attachment.at('AttachmentId').requiredText()
    const deleteOnTermination = attachment.at('DeleteOnTermination').boolean()
    if (deleteOnTermination === undefined) throw refusals.missing('Attachment.DeleteOnTermination')
    changes.push({ attribute: 'attachment', attachmentId, deleteOnTermination })
  }
  return changes
}

// The x-kubernetes-validations of our CRDs, said once more in TypeScript: nothing here runs CEL. They are known by their messages,
// and a test sees to it that none is missing.
import { isDeepStrictEqual } from 'node:util'

import type { JsonObject } from './json.ts'

/** Message of a rule -> whether the spec keeps it; `before` is that of the object which is replaced. */
export type Rules = Readonly<Record<string, (spec: JsonObject, before: JsonObject | undefined) => boolean>>

/** The message of the first rule that does not hold. */
export function brokenRule(rules: Rules, spec: JsonObject, before: JsonObject | undefined): string | undefined {
  return Object.entries(rules).find(([, holds]) => !holds(spec, before))?.[0]
}

/** A rule that names oldSelf is for updates only. */
const areImmutable =
  (...fields: string[]) =>
  (spec: JsonObject, before: JsonObject | undefined) =>
    before === undefined || fields.every((field) => isDeepStrictEqual(spec[field], before[field]))

const hasItems = (list: unknown) => Array.isArray(list) && list.length > 0

const reservedTags = ['aws:', 'eks:', 'networking.k8s.aws/', 'node.k8s.amazonaws.com/']

export const attachmentRules: Rules = {
  'nodeENI, nodeName, instanceID and resourceName are immutable': areImmutable(
    'nodeENI',
    'nodeName',
    'instanceID',
    'resourceName',
  ),
}

export const nodeENIRules: Rules = {
  'interfaceName must not be a dot, two dots, or if with a number, which stands for an interface index': ({
    interfaceName,
  }) => typeof interfaceName !== 'string' || !/^([.]{1,2}|if[0-9]+)$/.test(interfaceName),
  'mtu must be 0 or from 576 to 9216': ({ mtu }) => mtu === undefined || mtu === 0 || Number(mtu) >= 576,
  'tags must not use the prefixes aws:, eks:, networking.k8s.aws/ or node.k8s.amazonaws.com/': ({ tags }) =>
    Object.keys(tags ?? {}).every((tag) => !reservedTags.some((prefix) => tag.startsWith(prefix))),
  'at least one subnet is needed: set subnetID, subnetIDs, subnetName or subnetNames': (spec) =>
    'subnetID' in spec || 'subnetName' in spec || hasItems(spec['subnetIDs']) || hasItems(spec['subnetNames']),
  'at least one security group is needed: set securityGroupIDs or securityGroupNames': (spec) =>
    hasItems(spec['securityGroupIDs']) || hasItems(spec['securityGroupNames']),
  'dpdkResourceName must not use the prefix kubernetes.io or requests.': ({ dpdkResourceName }) =>
    !/^(([^/]*\.)?kubernetes\.io\/|requests\.)/.test(String(dpdkResourceName)),
  'dpdkResourceName is immutable: create another NodeENI for another resource': areImmutable('dpdkResourceName'),
  'attachPolicy JustInTime needs dpdkResourceName: only a pod that asks for a resource can cause an attach': (spec) =>
    spec['attachPolicy'] !== 'JustInTime' || 'dpdkResourceName' in spec,
}

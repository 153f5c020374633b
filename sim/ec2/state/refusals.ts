// Every error that this EC2 answers, in EC2's words. Messages seen at real EC2 come from public issues and from the VPC CNI,
// Cilium and EBS CSI sources; those marked "worded here" have a documented code but no message that we could find.

import { Ec2Error } from './ec2-error.ts'

const quoted = (ids: readonly string[]): string => `'${ids.join(', ')}'`
const doNotExist = (what: string, ids: readonly string[]): string =>
  ids.length === 1 ? `The ${what} ID ${quoted(ids)} does not exist` : `The ${what} IDs ${quoted(ids)} do not exist`

export const refusals = {
  // Ids
  malformed: (code: string, id: string, prefix: string) =>
    new Ec2Error(code, `Invalid id: "${id}" (expecting "${prefix}-...")`),
  subnetNotFound: (...ids: string[]) => new Ec2Error('InvalidSubnetID.NotFound', doNotExist('subnet', ids)),
  groupNotFound: (id: string) => new Ec2Error('InvalidGroup.NotFound', `The security group '${id}' does not exist`),
  groupInOtherVpc: () =>
    new Ec2Error('InvalidGroup.NotFound', 'You have specified two resources that belong to different networks.'),
  eniNotFound: (...ids: string[]) =>
    new Ec2Error('InvalidNetworkInterfaceID.NotFound', doNotExist('networkInterface', ids)),
  attachmentNotFound: (id: string) =>
    new Ec2Error('InvalidAttachmentID.NotFound', `The interface attachment '${id}' does not exist.`),
  instanceNotFound: (...ids: string[]) => new Ec2Error('InvalidInstanceID.NotFound', doNotExist('instance', ids)),
  instanceTypeNotFound: (types: readonly string[]) =>
    new Ec2Error('InvalidInstanceType', `The following supplied instance types do not exist: [${types.join(', ')}]`),
  resourceNotFound: (id: string) => new Ec2Error('InvalidID', `The ID '${id}' is not valid`),

  // Create
  noFreeAddresses: () =>
    new Ec2Error(
      'InsufficientFreeAddressesInSubnet',
      'The specified subnet does not have enough free addresses to satisfy the request.',
    ),
  tooFewAddresses: () =>
    new Ec2Error('InvalidParameterValue', "There aren't sufficient free Ipv4 addresses or prefixes"),
  addressInUse: (address: string) => new Ec2Error('InvalidIPAddress.InUse', `The address ${address} is in use.`), // worded here
  addressOutsideSubnet: () =>
    new Ec2Error('InvalidParameterValue', "Address does not fall within the subnet's address range"),
  noIpv6InSubnet: (subnetId: string) =>
    new Ec2Error('InvalidParameterValue', `The subnet '${subnetId}' does not have an IPv6 CIDR block.`), // worded here
  tooManyInterfaces: () =>
    new Ec2Error('NetworkInterfaceLimitExceeded', 'The maximum number of network interfaces has been reached.'),
  tooManyGroups: () =>
    new Ec2Error(
      'SecurityGroupsPerInterfaceLimitExceeded',
      'The maximum number of security groups per interface has been reached.',
    ),
  tokenReused: () =>
    new Ec2Error(
      'IdempotentParameterMismatch',
      'Arguments on this idempotent request are inconsistent with arguments used in previous request(s).',
    ),

  // Attach
  interfaceInUse: (id: string) => new Ec2Error('InvalidNetworkInterface.InUse', `Interface: [${id}] in use.`),
  instanceNot: (wanted: 'running' | 'stopped', id: string) =>
    new Ec2Error('IncorrectState', `Instance '${id}' is not '${wanted}'.`),
  otherZone: () =>
    new Ec2Error(
      'InvalidParameterCombination',
      'You may not attach a network interface to an instance if they are not in the same availability zone',
    ),
  attachmentLimit: (count: number, type: string) =>
    new Ec2Error('AttachmentLimitExceeded', `Interface count ${count} exceeds the limit for ${type}`),
  addressLimit: (type: string) =>
    new Ec2Error('InvalidInterface.IpAddressLimitExceeded', `Number of private addresses will exceed limit. (${type})`),
  indexTaken: (instanceId: string, index: number) =>
    new Ec2Error(
      'InvalidParameterValue',
      `Instance '${instanceId}' already has an interface attached at device index '${index}'.`,
    ),
  indexOutOfRange: (index: number, limit: number) =>
    new Ec2Error(
      'InvalidParameterValue',
      `Value (${index}) for parameter deviceIndex is invalid. It must be below ${limit}.`,
    ), // worded here
  noSuchCard: (card: number, type: string) =>
    new Ec2Error('InvalidParameterValue', `Value (${card}) for parameter networkCardIndex is invalid for ${type}.`), // worded here

  noEnaExpress: (type: string) => new Ec2Error('InvalidParameterValue', `ENA Express is not supported for ${type}.`), // worded here

  // Detach, delete, modify
  primaryInterface: () =>
    new Ec2Error(
      'OperationNotPermitted',
      'The network interface at device index 0 and networkCard index 0 cannot be detached.',
    ),
  alreadyDetaching: (id: string) =>
    new Ec2Error('IncorrectState', `The interface attachment '${id}' is not in a state from which it can be detached.`), // worded here
  deleteInUse: (id: string) => new Ec2Error('InvalidParameterValue', `Network interface '${id}' is currently in use.`),
  severalAttributes: (names: readonly string[]) =>
    new Ec2Error('InvalidParameterCombination', `Fields for multiple attribute types specified: ${names.join(', ')}`),
  noAttribute: () => new Ec2Error('InvalidParameterCombination', 'No attributes specified.'),

  // Security groups and subnets
  groupInUse: (id: string) => new Ec2Error('DependencyViolation', `resource ${id} has a dependent object`),
  defaultGroup: (id: string) =>
    new Ec2Error('CannotDelete', `the specified group: "${id}" name: "default" cannot be deleted by a user`),
  subnetInUse: (id: string) =>
    new Ec2Error('DependencyViolation', `The subnet '${id}' has dependencies and cannot be deleted.`),

  // Tags
  tooManyTags: () => new Ec2Error('TagLimitExceeded', 'You have reached the maximum number of tags'),
  reservedTag: () =>
    new Ec2Error('InvalidParameterValue', "Tag keys starting with 'aws:' are reserved for internal use"),
  notTaggable: (type: string) =>
    new Ec2Error('InvalidParameterValue', `'${type}' is not a valid taggable resource type for this operation.`),

  // The request as such
  throttled: () => new Ec2Error('RequestLimitExceeded', 'Request limit exceeded.', 503),
  missing: (name: string) => new Ec2Error('MissingParameter', `The request must contain the parameter ${name}`),
  unknownParameter: (name: string) => new Ec2Error('UnknownParameter', `The parameter ${name} is not recognized`),
  badValue: (value: string, name: string, why: string) =>
    new Ec2Error('InvalidParameterValue', `Value (${value}) for parameter ${name} is invalid. ${why}`),
  unknownFilter: (name: string) => new Ec2Error('InvalidParameterValue', `The filter '${name}' is invalid`),
  tooManyFilters: () =>
    new Ec2Error('FilterLimitExceeded', 'The maximum number of filters specified on a single call is 50'), // worded here
  tooManyFilterValues: () =>
    new Ec2Error('FilterLimitExceeded', 'The maximum number of filter values specified on a single call is 200'),
  idsWithMaxResults: (ids: string) =>
    new Ec2Error('InvalidParameterCombination', `The parameter ${ids} cannot be used with the parameter maxResults`),
  badPageToken: () => new Ec2Error('InvalidPaginationToken', 'The specified pagination token is not valid.'), // worded here
  unknownAction: (name: string) =>
    new Ec2Error('InvalidAction', `The action ${name} is not valid for this web service.`),
  dryRun: () => new Ec2Error('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412),
  notAuthenticated: () =>
    new Ec2Error('AuthFailure', 'AWS was not able to validate the provided access credentials', 401),
}

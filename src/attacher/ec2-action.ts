// Everything that the attacher asks of EC2. deploy/iam/policy.json allows as much, and nothing else.

export const ec2Actions = [
  'AttachNetworkInterface',
  'CreateNetworkInterface',
  'CreateTags',
  'DeleteNetworkInterface',
  'DescribeInstanceTypes',
  'DescribeInstances',
  'DescribeNetworkInterfaces',
  'DescribeSecurityGroups',
  'DescribeSubnets',
  'DetachNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
] as const

export type Ec2Action = (typeof ec2Actions)[number]

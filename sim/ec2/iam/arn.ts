// Names of the simulated account's resources and of who calls it, as IAM spells them.

export interface Account {
  readonly region: string
  readonly accountId: string
}

export type ResourceType = 'network-interface' | 'instance' | 'subnet' | 'security-group' | 'vpc'

export function resourceArn({ region, accountId }: Account, type: ResourceType, id: string): string {
  return `arn:${partitionOf(region)}:ec2:${region}:${accountId}:${type}/${id}`
}

export function assumedRoleArn({ region, accountId }: Account, role: string, session: string): string {
  return `arn:${partitionOf(region)}:sts::${accountId}:assumed-role/${role}/${session}`
}

export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}

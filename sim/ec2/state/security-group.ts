// A security group: a name in a VPC. Its rules are not modelled, since no packet flows here.

export interface SecurityGroup {
  readonly serial: number
  readonly groupId: string
  readonly groupName: string
  readonly vpcId: string
  readonly tags: Map<string, string>
}

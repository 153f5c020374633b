// A refusal of the simulated EC2 as a value, for rivals that act on the account directly and go on whatever it says.

import { Ec2Error } from '../state/ec2-error.ts'

/** EC2's code if it refused. */
export function refusalOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof Ec2Error) return error.code
    throw error
  }
}

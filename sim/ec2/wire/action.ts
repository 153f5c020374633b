// What an API action is here: it reads its parameters, and then it acts. Between the two stands what every action of EC2 does:
// unknown parameters are refused, and a dry run stops.

import type { Ec2State } from '../state/ec2-state.ts'
import { refusals } from '../state/refusals.ts'

import type { Parameter } from './parameter.ts'
import type { XmlElements } from './xml.ts'

export type Action = (parameters: Parameter, state: Ec2State) => XmlElements

export function action<Request>(
  read: (parameters: Parameter) => Request,
  act: (state: Ec2State, request: Request) => XmlElements,
): Action {
  return (parameters, state) => {
    const dryRun = parameters.at('DryRun').boolean() ?? false
    const request = read(parameters)
    const [unknown] = parameters.unread()
    if (unknown !== undefined) throw refusals.unknownParameter(unknown)
    if (dryRun) throw refusals.dryRun()
    return act(state, request)
  }
}

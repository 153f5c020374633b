// What is wrong with EC2, with the API server and with the attacher at the moment, and the end of all of it.
import type { Consistency } from '../../../sim/ec2/state/consistency.ts'
import type { Transition } from '../../../sim/ec2/state/stuck-transitions.ts'
import type { Fault } from '../../../sim/ec2/wire/faults.ts'
import type { Disturbance } from '../../kube-api/api-double.ts'
import type { Death } from '../lab/crash-point.ts'
import type { Lab } from '../lab/lab.ts'
import { nothing } from './nodes.ts'

const lag: Consistency = { newIdMs: [500, 8_000], listMs: [0, 3_000] }

export interface ApiTrouble extends Disturbance {
  readonly requests: 'reads' | 'writes'
  readonly times: number
}

export class Trouble {
  readonly #lab: Lab
  #unstick: (() => void)[] = []
  #api: { readonly trouble: ApiTrouble; left: number }[] = []
  #isAttacherStopped = false

  constructor(lab: Lab) {
    this.#lab = lab
    lab.api.disturb = ({ method }) => {
      const requests = method === 'GET' ? 'reads' : 'writes'
      const struck = this.#api.find(({ trouble, left }) => left > 0 && trouble.requests === requests)
      if (struck === undefined) return undefined
      struck.left--
      return struck.trouble
    }
  }

  ec2Fault(fault: Fault): string {
    this.#lab.ec2.faults.add(fault)
    const kind = typeof fault.kind === 'string' ? fault.kind : fault.kind.code
    const ms = fault.ms === undefined ? '' : ` of ${fault.ms} ms`
    return `EC2: the next ${fault.times ?? 1} ${fault.action} meet ${kind}${ms}, ${fault.when} it is done`
  }

  lag(isOn: boolean): string {
    this.#lab.ec2.setConsistency(isOn ? lag : undefined)
    return `EC2 ${isOn ? 'lags behind' : 'shows at once what is done'}`
  }

  throttle(scale: number | undefined): string {
    this.#lab.ec2.setThrottling(scale === undefined ? undefined : { scale })
    return scale === undefined ? 'EC2 throttles nobody' : `EC2 throttles at ${scale} of its usual rates`
  }

  stick(transition: Transition): string {
    this.#unstick.push(this.#lab.ec2.stick(transition))
    return `EC2: what is ${transition} next gets stuck`
  }

  unstick(): string {
    const [first, ...rest] = this.#unstick
    this.#unstick = rest
    first?.()
    return first === undefined ? nothing : 'EC2: what was stuck first goes on'
  }

  apiTrouble(trouble: ApiTrouble): string {
    this.#api.push({ trouble, left: trouble.times })
    return `API server: the next ${trouble.times} ${trouble.requests} meet ${trouble.answer}, ${trouble.when} they are done`
  }

  breakWatches(): string {
    this.#lab.api.breakWatches()
    return 'API server: all watches break'
  }

  dropEvents(events: number): string {
    this.#lab.api.dropEvents(events)
    return `API server: the next ${events} events of each watch are lost`
  }

  forgetHistory(): string {
    this.#lab.api.forgetHistory()
    this.#lab.api.breakWatches()
    return 'API server: all watches break, and get 410'
  }

  watchDelay(ms: number): string {
    this.#lab.api.watchDelayMs = ms
    return `API server: watches are ${ms} ms late`
  }

  restartAttacher(fate?: Death): string {
    this.#isAttacherStopped = false
    this.#lab.startAttacher(fate)
    return fate === undefined
      ? 'another attacher takes over'
      : `another attacher takes over, and dies ${fate.when} its call ${fate.at}`
  }

  stopAttacher(): string {
    this.#isAttacherStopped = true
    this.#lab.stopAttacher()
    return 'the attacher is gone'
  }

  /** EC2 and the API server are well, and an attacher runs. */
  heal(): void {
    const { api, ec2 } = this.#lab
    ec2.faults.clear()
    ec2.setThrottling(undefined)
    ec2.setConsistency(undefined)
    while (this.#unstick.length > 0) this.unstick()
    this.#api = []
    api.watchDelayMs = 0
    if (this.#isAttacherStopped) this.restartAttacher()
  }
}

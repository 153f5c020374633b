// Attachments that get stuck on order, `attaching` or `detaching`, until the order is taken back. Users of EC2 see both: EBS CSI
// issues 1163 and 1139, and ecs-agent issue 1520, where the device was three minutes late.

export type Transition = 'attaching' | 'detaching'

/** Steps pass at once, or wait until the gate opens. */
export class Gate {
  readonly #waiting: (() => void)[] = []
  #closed: boolean

  constructor(closed = false) {
    this.#closed = closed
  }

  get closed(): boolean {
    return this.#closed
  }

  pass(step: () => void): void {
    if (this.#closed) this.#waiting.push(step)
    else step()
  }

  open(): void {
    this.#closed = false
    for (const step of this.#waiting.splice(0)) step()
  }
}

interface Order {
  readonly transition: Transition
  readonly eniId: string | undefined
  readonly gate: Gate
}

export class StuckTransitions {
  #orders: Order[] = []

  /**
   * The next transition of this kind gets stuck: that of this interface, or else whichever comes.
   * The returned function takes the order back, and lets what is stuck by it go on.
   */
  order(transition: Transition, eniId?: string): () => void {
    const order = { transition, eniId, gate: new Gate(true) }
    this.#orders.push(order)
    return () => {
      this.#take(order)
      order.gate.open()
    }
  }

  /** The gate for the steps of a transition that begins: open, unless an order strikes it. */
  begin(transition: Transition, eniId: string): Gate {
    const order = this.#orders.find(
      (one) => one.transition === transition && (one.eniId === undefined || one.eniId === eniId),
    )
    if (order === undefined) return new Gate()
    this.#take(order)
    return order.gate
  }

  #take(order: Order): void {
    this.#orders = this.#orders.filter((other) => other !== order)
  }
}

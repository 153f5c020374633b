// Whatever the ledger is told, late, twice or never, it has what a count from scratch of all that has.
import { test } from 'node:test'
import fc from 'fast-check'

import { type Condition, conditions, LedgerModel, names, nodeNames, podNames } from './ledger-model.ts'

type Step = (model: LedgerModel) => void

const name = fc.constantFrom(...names)
const nodeName = fc.constantFrom(...nodeNames)
const podName = fc.constantFrom(...podNames)
const condition = fc.constantFrom(...(Object.keys(conditions) as Condition[]))
const which = fc.nat({ max: 9 })

function always(step: Step, says: string): fc.Arbitrary<Step> {
  return fc.constant(Object.assign(step, { toString: () => says }))
}

function told<T extends unknown[]>(
  says: string,
  parts: { [K in keyof T]: fc.Arbitrary<T[K]> },
  step: (model: LedgerModel, ...values: T) => void,
): fc.Arbitrary<Step> {
  return fc.tuple(...parts).map((values) =>
    Object.assign((model: LedgerModel) => step(model, ...(values as T)), {
      toString: () => `${says} ${values.join()}`,
    }),
  )
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const write = [name, nodeName, optional(podName), condition] as const

const step = fc.oneof(
  { weight: 4, arbitrary: told('we write', [...write], (m, ...w) => m.write(...w, 'we')) },
  { weight: 3, arbitrary: told('others write', [...write], (m, ...w) => m.write(...w, 'others')) },
  { weight: 1, arbitrary: told('others spoil', [name], (m, n) => m.spoil(n)) },
  { weight: 2, arbitrary: told('deleted', [name], (m, n) => m.delete(n)) },
  { weight: 6, arbitrary: told('event arrives', [name], (m, n) => m.arrive(n)) },
  { weight: 1, arbitrary: told('event lost', [name], (m, n) => m.lose(n)) },
  { weight: 1, arbitrary: told('event repeated', [which], (m, n) => m.repeat(n)) },
  { weight: 4, arbitrary: told('answer arrives', [which], (m, n) => m.answer(n)) },
  { weight: 1, arbitrary: always((m) => m.loseAnswer(), 'answer lost') },
  { weight: 1, arbitrary: always((m) => m.askForList(), 'list is asked for') },
  { weight: 2, arbitrary: always((m) => m.listArrives(), 'list arrives') },
  { weight: 3, arbitrary: told('pod', [podName, optional(nodeName), fc.nat({ max: 2 })], (m, ...p) => m.setPod(...p)) },
  { weight: 1, arbitrary: told('pod ends', [podName], (m, n) => m.endPod(n)) },
  { weight: 3, arbitrary: always((m) => m.podArrives(), 'pod event arrives') },
  { weight: 1, arbitrary: always((m) => m.losePodEvent(), 'pod event lost') },
  { weight: 1, arbitrary: always((m) => m.listPods(), 'list of pods') },
  { weight: 1, arbitrary: told('node replaced', [nodeName], (m, n) => m.replaceNode(n)) },
)

test('after every step of any story the ledger equals a count from scratch, and in the end the API server', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const model = new LedgerModel()
      for (const take of steps) {
        take(model)
        model.check()
      }
      model.settle()
      model.check()
      model.checkSettled()
    }),
    { numRuns: 400 },
  )
})

// Faults that were put into the extender's ledger on purpose.
import type { Mutant } from './mutants.ts'

const known = 'src/extender/known-attachments.ts'
const account = 'src/extender/node-account.ts'
const book = 'src/extender/pod-book.ts'
const ledger = 'src/extender/ledger.ts'

const caughtBy = ['--test', '--test-timeout=60000', 'test/extender/ledger-model.test.ts']

export const ledgerMutants: readonly Mutant[] = [
  {
    fault: 'an own write is forgotten at the first event of its object, however old',
    file: known,
    find: 'if (written !== undefined && !isOlder(event, written)) this.#written.delete(name)',
    replace: 'this.#written.delete(name)',
    caughtBy,
  },
  {
    fault: 'an own write is never over',
    file: known,
    find: 'if (written !== undefined && !isOlder(event, written)) this.#written.delete(name)',
    replace: '',
    caughtBy,
  },
  {
    fault: 'a list ends no own write',
    file: known,
    find: 'filter((written) => !isAfter(written, version))',
    replace: 'filter(() => false)',
    caughtBy,
  },
  {
    fault: 'a list ends every own write',
    file: known,
    find: 'filter((written) => !isAfter(written, version))',
    replace: 'filter(() => true)',
    caughtBy,
  },
  {
    fault: 'a late answer brings back what is gone',
    file: known,
    find: 'if (this.#gone.has(uid)) return',
    replace: '',
    caughtBy,
  },
  {
    fault: 'a late answer counts more than what the watch has shown since',
    file: known,
    find: 'if (!isAfter(answer, shown)) return',
    replace: 'void shown',
    caughtBy,
  },
  {
    fault: 'the last of two answers counts, and not the newer',
    file: known,
    find: 'if (written === undefined || isOlder(written, answer)) ',
    replace: '',
    caughtBy,
  },
  {
    fault: 'an event that is repeated takes the object back to what it was',
    file: known,
    find: ' || (last !== undefined && !isAfter(event, last.metadata.resourceVersion))',
    replace: '',
    caughtBy,
  },
  {
    fault: 'the end of an object ends the next bearer of its name',
    file: known,
    find: 'if (written?.metadata.uid === last.metadata.uid) this.#written.delete(name)',
    replace: 'this.#written.delete(name)',
    caughtBy,
  },
  {
    fault: 'what cannot be read takes no slot',
    file: account,
    find: 'const taken = taking.length + hidden.length',
    replace: 'const taken = taking.length',
    caughtBy,
  },
  {
    fault: 'an ENI that somebody has moved takes a slot',
    file: account,
    find: 'ours.filter(takesSlot)',
    replace: 'ours.filter(() => true)',
    caughtBy,
  },
  {
    fault: 'pods of other schedulers take nothing',
    file: account,
    find: 'idle.slice(Math.min(owed, ready))',
    replace: 'idle',
    caughtBy,
  },
  {
    fault: 'a pod on the node takes ENIs that are on their way',
    file: account,
    find: 'idle.slice(Math.min(owed, ready))',
    replace: 'idle.slice(owed)',
    caughtBy,
  },
  {
    fault: 'a device is soon free although a pod holds it',
    file: account,
    find: 'return !pods.some(({ namespace, name }) => namespace === holder?.namespace && name === holder.name)',
    replace: 'return holder === undefined || pods !== undefined',
    caughtBy,
  },
  {
    fault: 'a pod that is bound elsewhere keeps its claim here',
    file: book,
    find: 'return boundTo !== undefined && boundTo !== nodeName',
    replace: 'return false && boundTo !== nodeName',
    caughtBy,
  },
  {
    fault: 'a pod whose name came back has not ended',
    file: book,
    find: 'before.uid !== pod?.uid',
    replace: 'pod === undefined',
    caughtBy,
  },
  {
    fault: 'an account is kept when a pod has changed',
    file: ledger,
    find: 'const nodeNames = [before?.nodeName, pod?.nodeName, ...claims.map(({ spec }) => spec.nodeName)]',
    replace: 'const nodeNames = [before?.nodeName, ...claims.map(({ spec }) => spec.nodeName)]',
    caughtBy,
  },
  {
    fault: 'an account is kept when the pod of a claim has ended',
    file: ledger,
    find: 'const nodeNames = [before?.nodeName, pod?.nodeName, ...claims.map(({ spec }) => spec.nodeName)]',
    replace: 'const nodeNames = [before?.nodeName, pod?.nodeName]; void claims',
    caughtBy,
  },
]

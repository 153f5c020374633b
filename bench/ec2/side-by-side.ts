// Runs each task in a process of its own, as many at a time as there are processors. The program is the one that runs: it is started
// again with the number of the task as its argument.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'

/** Answers what each process sent, in the order of the tasks. @throws when one ends without a word, and ends the others. */
export async function sideBySide<T>(tasks: number, onDone: (result: T) => void): Promise<T[]> {
  const results: T[] = []
  const children: ChildProcess[] = []
  let next = 0
  const work = async () => {
    while (next < tasks) {
      const task = next++
      const child = fork(process.argv[1] ?? '', [String(task)])
      children.push(child)
      const result = await answerOf<T>(child, task)
      results[task] = result
      onDone(result)
    }
  }
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, work))
  } finally {
    for (const child of children) child.kill()
  }
  return results
}

async function answerOf<T>(child: ChildProcess, task: number): Promise<T> {
  let answer: { readonly result: T } | undefined
  child.on('message', (message) => (answer = { result: message as T }))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0 || answer === undefined) throw new Error(`measurement ${task} ended with code ${code}`)
  return answer.result
}

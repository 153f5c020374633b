// The log of the device plugin of a node where it runs in a pod, line by line as it is written.
import type { Observer } from './observer.ts'
import type { LogLine } from './program.ts'

/** Resolves when the pod's container ends or the signal aborts. */
export async function followDevicePlugin(
  { api, pods }: Observer,
  nodeName: string,
  onLine: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const pod = [...pods.values()].find(({ namespace, nodeName: place }) => namespace === 'jit-eni' && place === nodeName)
  if (pod === undefined) throw new Error(`no device plugin runs on ${nodeName}`)
  const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}/log`
  try {
    for await (const line of api.lines(path, { query: { follow: true }, signal })) onLine(line as LogLine)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

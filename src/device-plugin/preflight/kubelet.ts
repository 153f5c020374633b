// Whether the kubelet is there for us, and our own directories can be written. A kubelet that is not running is no fault: it may be
// that an image for nodes is being made.
import { existsSync } from 'node:fs'
import { connect } from 'node:net'

import { bad, type Finding, good, note } from './finding.ts'
import { isWritable } from './host-files.ts'

export interface KubeletPlaces {
  readonly devicePluginsDir: string
  readonly podResourcesSocket: string
  /** Name and path of each directory that must be writable. */
  readonly ownDirectories: Readonly<Record<string, string>>
}

const connectDeadlineMs = 1_000

export async function kubeletFindings(places: KubeletPlaces): Promise<readonly Finding[]> {
  const { devicePluginsDir, podResourcesSocket, ownDirectories } = places
  const registry = `${devicePluginsDir}/kubelet.sock`
  return [
    kubeletDirectoryFinding("the kubelet's plugin directory", devicePluginsDir),
    await socketFinding("the kubelet's registry", registry),
    await socketFinding("the kubelet's PodResources", podResourcesSocket),
    ...Object.entries(ownDirectories).map(([what, path]) => directoryFinding(what, path)),
  ]
}

/** The kubelet makes it, never we; without it the device plugin does not start (settings.ts). */
function kubeletDirectoryFinding(what: string, path: string): Finding {
  if (existsSync(path)) return directoryFinding(what, path)
  return note(what, `there is no ${path}: no kubelet has run here, or it is not mounted; the device plugin needs it`)
}

function directoryFinding(what: string, path: string): Finding {
  if (isWritable(path)) return good(what, existsSync(path) ? path : `${path}, will be made`)
  return bad(
    what,
    `${path} is not writable`,
    'run as root, and mount it into the pod as deploy/device-plugin.yaml does',
  )
}

async function socketFinding(what: string, path: string): Promise<Finding> {
  if (!existsSync(path))
    return note(what, `there is no ${path}: no kubelet is running, or its directory is not mounted`)
  const problem = await connectProblem(path)
  if (problem === undefined) return good(what, path)
  return note(what, `${path} does not answer (${problem}): the kubelet is not running, or this process may not connect`)
}

async function connectProblem(path: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const socket = connect(path)
  socket.setTimeout(connectDeadlineMs, () => resolve('no answer'))
  socket.once('connect', () => resolve(undefined))
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  const problem = await promise
  socket.destroy()
  return problem
}

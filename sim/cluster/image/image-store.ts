// A containerd's store with images in it, filled on this machine: in a virtual machine the same takes minutes.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { BinaryDirs } from '../binaries/obtain.ts'
import { Component } from '../component.ts'
import { runCommand } from '../run-command.ts'
import { containerdConfig, snapshotterOn } from '../node/containerd-config.ts'
import { NodeNamespace } from '../node/node-namespace.ts'
import { pauseImage } from './node-images.ts'

const readyDeadlineMs = 60_000
const graceMs = 10_000

export interface ImageStore {
  /** What containerd's configuration calls its root. */
  readonly root: string
  readonly snapshotter: 'overlayfs' | 'native'
}

/** From archives in the format of `docker save`, unpacked. `directory` is made. */
export async function fillImageStore(
  directory: string,
  archives: readonly string[],
  { binaries, env }: { readonly binaries: BinaryDirs; readonly env: NodeJS.ProcessEnv },
  signal?: AbortSignal,
): Promise<ImageStore> {
  const below = (name: string) => path.join(directory, name)
  mkdirSync(directory)
  const store: ImageStore = { root: below('root'), snapshotter: snapshotterOn(directory) }
  const socket = below('containerd.sock')
  const config = containerdConfig({
    ...store,
    socket,
    state: below('state'),
    // It never starts a container.
    cniPluginDir: directory,
    cniConfigDir: directory,
    cdiSpecDir: directory,
    runc: 'runc',
    pauseImage: pauseImage.name,
  })
  writeFileSync(below('containerd.toml'), config)
  // Its mounts end with it, and it with this process.
  const namespace = await NodeNamespace.open()
  try {
    const inside = namespace.inside(path.join(binaries.containerd, 'containerd'), [
      '--config',
      below('containerd.toml'),
    ])
    const logFile = below('containerd.log')
    const containerd = new Component({
      ...inside,
      name: 'containerd of the image store',
      env,
      logFile,
      behindNsenter: true,
    })
    const ctr = (...args: readonly string[]) =>
      runCommand(path.join(binaries.containerd, 'ctr'), ['--address', socket, '--namespace', 'k8s.io', ...args], {
        env,
        signal,
      })
    const ready = () =>
      ctr('version').then(
        () => true,
        () => false,
      )
    await containerd.waitUntil('ready', ready, readyDeadlineMs, signal)
    for (const archive of archives) await ctr('images', 'import', '--snapshotter', store.snapshotter, archive)
    await containerd.terminate(graceMs)
    return store
  } finally {
    await namespace.close()
  }
}

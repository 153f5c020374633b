// Container images made of a static busybox and a start script.
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { writeBusyboxLayer } from './busybox-layer.ts'
import { writeDockerSave } from './docker-save.ts'
import { tarArchive } from './tar-archive.ts'

export interface Image {
  /** With registry and tag, as a pod names it: `localhost/pause:1`. */
  readonly name: string
  /** The shell script that the container runs. */
  readonly startScript: string
}

/** Writes one archive with all images; they share the layer that holds busybox. */
export async function writeImageArchive(file: string, busybox: string, images: readonly Image[]): Promise<void> {
  await using parts = await mkdtempDisposable(`${file}-layers-`)
  const base = path.join(parts.path, 'busybox.tar')
  await writeBusyboxLayer(base, busybox)
  const saved = []
  for (const [index, { name, startScript }] of images.entries()) {
    const script = path.join(parts.path, `start-${index}.tar`)
    const content = Buffer.from(startScript)
    await writeFile(script, tarArchive([{ path: 'start', kind: 'file', content, mode: 0o755 }]))
    saved.push({ name, config: { Entrypoint: ['/bin/sh', '/start'], Env: ['PATH=/bin'] }, layers: [base, script] })
  }
  await writeDockerSave(file, saved)
}

// Container images made of a static busybox and a start script: no registry and no docker needed.
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { architecture } from '../binaries/group.ts'
import { runCommand } from '../run-command.ts'
import { tarArchive, type TarEntry } from './tar-archive.ts'

export interface Image {
  /** With registry and tag, as a pod names it: `localhost/pause:1`. */
  readonly name: string
  /** The shell script that the container runs. */
  readonly startScript: string
}

interface Layer {
  readonly fileName: string
  readonly diffId: string
  readonly content: Buffer
}

/** Writes one archive in `docker save` format with all images; they share the layer that holds busybox. */
export async function writeImageArchive(file: string, busybox: string, images: readonly Image[]): Promise<void> {
  const base = layer('busybox.tar', await busyboxEntries(busybox))
  const entries = new Map<string, Buffer>([[base.fileName, base.content]])
  const manifest = images.map((image, index) => {
    const script = layer(`start-${index}.tar`, [
      { path: 'start', kind: 'file', content: Buffer.from(image.startScript), mode: 0o755 },
    ])
    const layers = [base, script]
    const configFile = `config-${index}.json`
    entries.set(script.fileName, script.content)
    entries.set(configFile, Buffer.from(JSON.stringify(imageConfig(layers))))
    return {
      Config: configFile,
      RepoTags: [image.name],
      Layers: layers.map(({ fileName }) => fileName),
    }
  })
  entries.set('manifest.json', Buffer.from(JSON.stringify(manifest)))
  await writeFile(
    file,
    tarArchive([...entries].map(([path, content]) => ({ path, kind: 'file', content, mode: 0o644 }))),
  )
}

function imageConfig(layers: readonly Layer[]): object {
  return {
    architecture,
    os: 'linux',
    config: { Entrypoint: ['/bin/sh', '/start'], Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  }
}

function layer(fileName: string, entries: readonly TarEntry[]): Layer {
  const content = tarArchive(entries)
  const digest = createHash('sha256').update(content).digest('hex')
  return { fileName, content, diffId: `sha256:${digest}` }
}

async function busyboxEntries(busybox: string): Promise<TarEntry[]> {
  const applets = (await runCommand(busybox, ['--list'])).trim().split('\n')
  const directories = ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'var']
  return [
    ...directories.map((path): TarEntry => ({ path: `${path}/`, kind: 'directory' })),
    { path: 'bin/busybox', kind: 'file', content: await readFile(busybox), mode: 0o755 },
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet): TarEntry => ({ path: `bin/${applet}`, kind: 'symlink', target: 'busybox' })),
  ]
}

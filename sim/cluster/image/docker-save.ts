// Writes image archives in the format of `docker save`, which every container runtime imports: no registry and no docker needed.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtempDisposable, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { architecture } from '../binaries/group.ts'
import { runCommand } from '../run-command.ts'

export interface SavedImage {
  /** With registry and tag, as a pod names it: `localhost/pause:1`. */
  readonly name: string
  /** What a container gets that says nothing else, in the terms of the OCI image configuration. */
  readonly config: {
    readonly Entrypoint?: readonly string[]
    readonly Env: readonly string[]
    readonly WorkingDir?: string
  }
  /** Tar archives, the lowest first. Images may share them. */
  readonly layers: readonly string[]
}

export async function writeDockerSave(archive: string, images: readonly SavedImage[]): Promise<void> {
  await using parts = await mkdtempDisposable(`${archive}-`)
  const digests = new Map<string, string>()
  for (const layer of new Set(images.flatMap(({ layers }) => layers))) digests.set(layer, await sha256(layer))

  const members = new Set<string>(['manifest.json'])
  const manifest = []
  for (const [index, { name, config, layers }] of images.entries()) {
    const diffIds = layers.map((layer) => digests.get(layer) ?? '')
    const configFile = `config-${index}.json`
    const content = {
      architecture,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: diffIds.map((digest) => `sha256:${digest}`) },
    }
    await writeFile(path.join(parts.path, configFile), JSON.stringify(content))
    const layerFiles = diffIds.map((digest) => `${digest}.tar`)
    for (const member of [configFile, ...layerFiles]) members.add(member)
    manifest.push({ Config: configFile, RepoTags: [name], Layers: layerFiles })
  }
  await writeFile(path.join(parts.path, 'manifest.json'), JSON.stringify(manifest))
  for (const [layer, digest] of digests) await symlink(path.resolve(layer), path.join(parts.path, `${digest}.tar`))
  await runCommand('tar', ['-cf', archive, '--dereference', '-C', parts.path, ...members])
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

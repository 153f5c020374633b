// The image of the device plugin, made from this checkout without a registry: Node and ip with their shared libraries, dist, proto and
// the production modules, in the format of `docker save`. Nothing else is in it: no shell, no other program.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, realpath, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { architecture } from '../cluster/binaries/group.ts'
import { CommandError, runCommand } from '../cluster/run-command.ts'

const project = fileURLToPath(new URL('../..', import.meta.url))
const appDir = 'app'
/** With type declarations and source maps the modules are twice as large. */
const leftOut = ['*.d.ts', '*.d.cts', '*.d.mts', '*.map']

/** Writes the archive below `directory` and returns its path. `image` is what a manifest names; dist must have been built. */
export async function writeDevicePluginImage(directory: string, image: string): Promise<string> {
  const parts = path.join(directory, 'image')
  await mkdir(parts)
  const layer = path.join(parts, 'layer.tar')
  await writeLayer(layer)
  const config = {
    architecture,
    os: 'linux',
    config: { Env: ['PATH=/usr/bin:/usr/sbin'], WorkingDir: `/${appDir}` },
    rootfs: { type: 'layers', diff_ids: [`sha256:${await sha256(layer)}`] },
  }
  await writeFile(path.join(parts, 'config.json'), JSON.stringify(config))
  // A name without a registry is one of docker.io for the container runtime, as for docker.
  const names = [image.includes('/') ? image : `docker.io/library/${image}`]
  const manifest = [{ Config: 'config.json', RepoTags: names, Layers: ['layer.tar'] }]
  await writeFile(path.join(parts, 'manifest.json'), JSON.stringify(manifest))
  const archive = path.join(directory, 'device-plugin-image.tar')
  await runCommand('tar', ['-cf', archive, '-C', parts, 'manifest.json', 'config.json', 'layer.tar'])
  return archive
}

async function writeLayer(file: string): Promise<void> {
  const node = await realpath(process.execPath)
  const ip = await programPath('ip')
  const programs = [node, ...(ip === undefined ? [] : [ip])]
  const libraries = new Set((await Promise.all(programs.map(librariesOf))).flat())
  const ofProject = ['dist', 'proto', 'package.json', ...(await productionModules())]
  const fromRoot = [...libraries, ...(ip === undefined ? [] : [ip])].map((name) => name.slice(1))
  const archive = ['-cf', file, '--dereference', '--owner=0', '--group=0', '--numeric-owner']
  const places = [
    String.raw`--transform=s,^\(dist\|proto\|package\.json\|node_modules\)\b,${appDir}/&,`,
    '--transform=s,^node$,usr/bin/node,',
  ]
  const members = ['-C', path.dirname(node), path.basename(node), '-C', '/', ...fromRoot, '-C', project, ...ofProject]
  const exclusions = leftOut.map((pattern) => `--exclude=${pattern}`)
  await runCommand('tar', [...archive, ...exclusions, ...places, ...members])
}

/** The loader and the libraries of a program, as `ldd` lists them: "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)". */
async function librariesOf(program: string): Promise<string[]> {
  const list = await runCommand('ldd', [program])
  return [...list.matchAll(/(\/\S+) \(0x/g)].map(([, name = '']) => name)
}

async function programPath(name: string): Promise<string | undefined> {
  try {
    return await realpath((await runCommand('which', [name])).trim())
  } catch (error) {
    if (error instanceof CommandError) return undefined
    throw error
  }
}

/** Relative to the project. Without the Node that is among them as a binary of its own. */
async function productionModules(): Promise<string[]> {
  const list = await runCommand('npm', ['ls', '--omit=dev', '--omit=optional', '--all', '--parseable'], {
    cwd: project,
  })
  const found = list
    .trim()
    .split('\n')
    .map((directory) => path.relative(project, directory))
  // A module that is nested in another comes with it.
  const outermost = found.filter((name) => name.lastIndexOf('node_modules') === 0 && name.startsWith('node_modules'))
  return outermost.filter((name) => !name.startsWith('node_modules/node-linux-'))
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

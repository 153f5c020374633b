// The image of the device plugin, made from this checkout without a registry: Node and ip with their shared libraries, dist, proto and
// the production modules, in the format of `docker save`. Nothing else is in it: no shell, no other program.
import { mkdtempDisposable, realpath } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeDockerSave } from '../cluster/image/docker-save.ts'
import { writeProgramLayer } from '../cluster/image/program-layer.ts'
import { CommandError, runCommand } from '../cluster/run-command.ts'

const project = fileURLToPath(new URL('../..', import.meta.url))
const appDir = 'app'
/** With type declarations and source maps the modules are twice as large. */
const leftOut = ['*.d.ts', '*.d.cts', '*.d.mts', '*.map']

/** Writes the archive below `directory` and returns its path. `image` is what a manifest names; dist must have been built. */
export async function writeDevicePluginImage(directory: string, image: string): Promise<string> {
  const archive = path.join(directory, 'device-plugin-image.tar')
  await using parts = await mkdtempDisposable(`${archive}-layers-`)
  const programs = path.join(parts.path, 'programs.tar')
  const app = path.join(parts.path, 'app.tar')
  const node = { file: await realpath(process.execPath), as: '/usr/bin/node' }
  const ip = await programPath('ip')
  await writeProgramLayer(programs, [node, ...(ip === undefined ? [] : [{ file: ip }])])
  await writeAppLayer(app)
  // A name without a registry is one of docker.io for the container runtime, as for docker.
  const name = image.includes('/') ? image : `docker.io/library/${image}`
  const config = { Env: ['PATH=/usr/bin:/usr/sbin'], WorkingDir: `/${appDir}` }
  await writeDockerSave(archive, [{ name, config, layers: [programs, app] }])
  return archive
}

async function writeAppLayer(file: string): Promise<void> {
  const members = ['dist', 'proto', 'package.json', ...(await productionModules())]
  const archive = ['-cf', file, '--dereference', '--owner=0', '--group=0', '--numeric-owner']
  const exclusions = leftOut.map((pattern) => `--exclude=${pattern}`)
  await runCommand('tar', [...archive, ...exclusions, `--transform=s,^,${appDir}/,`, '-C', project, ...members])
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

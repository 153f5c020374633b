// A layer with programs of this machine and everything that they are linked with. The image sees each of these files as this machine
// does: one file under all its names, because every symbolic link on the way to it is in the layer too.
import { lstat, readlink } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from '../run-command.ts'

export interface LayerProgram {
  /** On this machine. A shared library is one too. */
  readonly file: string
  /** Its path in the image, when it is not to be the same. */
  readonly as?: string
}

export async function writeProgramLayer(layer: string, programs: readonly LayerProgram[]): Promise<void> {
  const libraries = (await Promise.all(programs.map(({ file }) => librariesOf(file)))).flat()
  const moved = programs.filter(({ as }) => as !== undefined)
  const atTheirPlace = programs.filter(({ as }) => as === undefined).map(({ file }) => file)
  const ways = await Promise.all([...atTheirPlace, ...libraries].map(wayTo))
  const members = new Set([...ways.flat(), ...moved.map(({ file }) => file)])
  const fromRoot = [...members].toSorted().map((file) => file.slice(1))
  const transforms = moved.map(({ file, as = '' }) => `--transform=${replacement(file.slice(1), as.slice(1))}`)
  const owner = ['--owner=0', '--group=0', '--numeric-owner']
  await runCommand('tar', ['-cf', layer, ...owner, '--mtime=@0', ...transforms, '-C', '/', ...fromRoot])
}

/**
 * The loader and the libraries of a program, as `ldd` lists them: "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)". Not what it
 * loads when it runs.
 */
export async function librariesOf(program: string): Promise<string[]> {
  const list = await runCommand('ldd', [program])
  return [...list.matchAll(/(\/\S+) \(0x/g)].map(([, name = '']) => name)
}

/** The file, and before it each symbolic link that leads to it; all by paths that lead through no link. */
async function wayTo(file: string): Promise<string[]> {
  const links: string[] = []
  let names = namesIn(file)
  let reached = '/'
  while (names[0] !== undefined) {
    const next = path.join(reached, names[0])
    names = names.slice(1)
    if (!(await lstat(next)).isSymbolicLink()) {
      reached = next
      continue
    }
    // As the kernel (path_resolution(7)).
    if (links.length === 40) throw new Error(`too many symbolic links on the way to ${file}`)
    links.push(next)
    const target = await readlink(next)
    if (path.isAbsolute(target)) reached = '/'
    names = [...namesIn(target), ...names]
  }
  return [...links, reached]
}

function namesIn(file: string): string[] {
  return file.split('/').filter((name) => name !== '')
}

/** For tar's --transform, which takes a basic regular expression; of members' names only, not of the targets of links. */
function replacement(from: string, to: string): string {
  const pattern = from.replaceAll(/[.*[\]^$\\,]/g, String.raw`\$&`)
  return `s,^${pattern}$,${to},rSH`
}

// The layer that gives an image a shell: a static busybox with all its applets, and the directories that a container expects.
import { readFile, writeFile } from 'node:fs/promises'
import { runCommand } from '../run-command.ts'
import { tarArchive, type TarEntry } from './tar-archive.ts'

export async function writeBusyboxLayer(file: string, busybox: string): Promise<void> {
  const applets = (await runCommand(busybox, ['--list'])).trim().split('\n')
  const directories = ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'var', 'var/run']
  const entries = [
    ...directories.map((directory): TarEntry => ({ path: `${directory}/`, kind: 'directory' })),
    { path: 'bin/busybox', kind: 'file' as const, content: await readFile(busybox), mode: 0o755 },
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet): TarEntry => ({ path: `bin/${applet}`, kind: 'symlink', target: 'busybox' })),
  ]
  await writeFile(file, tarArchive(entries))
}

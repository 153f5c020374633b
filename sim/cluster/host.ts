// The machine that a cluster is to run on: who asks, and where its programs are looked for.
import path from 'node:path'

const systemDirs = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

export interface Host {
  readonly uid: number | undefined
  readonly searchDirs: readonly string[]
  readonly cniPluginDirs: readonly string[]
}

export function thisHost(): Host {
  const given = (process.env['PATH'] ?? '').split(path.delimiter).filter((dir) => dir !== '')
  return {
    uid: process.getuid?.(),
    // A login shell may leave out the sbin ones.
    searchDirs: [...new Set([...given, ...systemDirs])],
    cniPluginDirs: ['/usr/lib/cni', '/opt/cni/bin'],
  }
}

/** To be asked first: everything that comes after it takes its time. */
export function requireRoot({ uid }: Host): void {
  if (uid === 0) return
  throw new Error('a cluster needs root, for mount namespaces, control groups and pod networks: run this as root')
}

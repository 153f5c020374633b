// `ip` as a program on one simulated node finds it: it works in the network namespace of that node's cards.
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** The value of PATH by which it is found, before all of `searchPath`. */
export async function pathWithNodeIp(
  directory: string,
  networkNamespace: string | undefined,
  searchPath: string,
): Promise<string> {
  if (networkNamespace === undefined) return searchPath
  await mkdir(directory)
  const script = path.join(directory, 'ip')
  await writeFile(script, `#!/bin/sh\nPATH='${searchPath}' exec ip -n ${networkNamespace} "$@"\n`)
  await chmod(script, 0o755)
  return `${directory}:${searchPath}`
}

// What each package costs that the device plugin imports: a Node process that does nothing but import it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { memoryOf, type ProcessMemory } from './process-memory.ts'

const packages: Readonly<Record<string, readonly string[]>> = {
  'node alone': [],
  'node:https': ['node:https'],
  zod: ['zod'],
  pino: ['pino'],
  chokidar: ['chokidar'],
  'prom-client': ['prom-client'],
  'grpc-js, proto-loader': ['@grpc/grpc-js', '@grpc/proto-loader'],
  '@kubernetes/client-node': ['@kubernetes/client-node'],
  'all but client-node': [
    'node:https',
    'zod',
    'pino',
    'chokidar',
    'prom-client',
    '@grpc/grpc-js',
    '@grpc/proto-loader',
  ],
}

export async function importCosts(): Promise<ReadonlyMap<string, ProcessMemory>> {
  const costs = new Map<string, ProcessMemory>()
  for (const [name, specifiers] of Object.entries(packages)) costs.set(name, await costOf(specifiers))
  return costs
}

async function costOf(specifiers: readonly string[]): Promise<ProcessMemory> {
  const imports = specifiers.map((specifier) => `await import('${specifier}');`).join('')
  // Who listens to its parent stays.
  const code = `${imports}process.on('message', () => {}); process.send('imported')`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  try {
    await Promise.race([once(child, 'message'), exited])
    if (child.exitCode !== null) throw new Error(`import of ${specifiers.join(', ')} failed`)
    return memoryOf(child.pid ?? 0)
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

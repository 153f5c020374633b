// Reads a program's environment once, by a zod schema, and turns what is wrong into one line and exit code 1.
import { z } from 'zod'

import { resourceNamePattern } from '../api/node-eni.ts'

/** A setting that is missing, malformed, or names something that is not there. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

export const logLevel = z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info')

/** host:port; loopback unless said otherwise. */
export const listenAddress = z
  .string()
  .regex(/^[^\s]+:[0-9]{1,5}$/, 'must be host:port')
  .transform((text) => {
    const at = text.lastIndexOf(':')
    return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
  })
  .refine(({ port }) => port <= 65_535, 'the port must be at most 65535')

/** Comma-separated extended-resource names. */
export const resourceList = z
  .string()
  .min(1)
  .transform((text) => text.split(',').map((name) => name.trim()))
  .refine((names) => names.every((name) => resourceNamePattern.test(name)), {
    message: 'must be resource names such as intel.com/upf_dataplane, with commas between them',
  })
  .transform((names) => new Set(names))

export function readSettings<T>(schema: z.ZodType<T>, env: Readonly<Record<string, string | undefined>>): T {
  const parsed = schema.safeParse(env)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(({ path, message }) => {
    const name = path.join('.')
    // An empty value is how a manifest asks its reader to fill it in.
    const missing = (env[name] ?? '') === '' && /^(Invalid|Too small)/.test(message)
    return `${name}: ${missing ? 'is not set' : message}`
  })
  throw new SettingsError(`environment: ${problems.join('; ')}`)
}

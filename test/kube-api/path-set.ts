// Sets of paths.

export type PathSet = ReadonlySet<string>

export function union(...sets: readonly PathSet[]): Set<string> {
  return new Set(sets.flatMap((paths) => [...paths]))
}

export function difference(paths: PathSet, without: PathSet): Set<string> {
  return new Set([...paths].filter((path) => !without.has(path)))
}

export function intersection(paths: PathSet, others: PathSet): string[] {
  return [...paths].filter((path) => others.has(path))
}

export function isEqual(paths: PathSet, others: PathSet): boolean {
  return paths.size === others.size && [...paths].every((path) => others.has(path))
}

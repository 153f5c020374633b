// In which order modules are to be loaded, from what depmod has found out about them.

/**
 * The files of the wanted modules and of all that they need, each once and after those that it needs. What is built into the kernel
 * needs no file. `dep` and `builtin` are the texts of modules.dep and modules.builtin; modules.dep(5) lists of each module all that it
 * needs, to be loaded from right to left. Throws when the kernel does not have a wanted module.
 */
export function loadOrder(wanted: readonly string[], dep: string, builtin: string): string[] {
  const needs = new Map<string, string[]>()
  for (const line of dep.split('\n')) {
    const [file, needed] = line.split(':')
    if (file !== undefined && needed !== undefined) {
      needs.set(moduleName(file), [
        ...needed
          .split(' ')
          .filter((name) => name !== '')
          .toReversed(),
        file,
      ])
    }
  }
  const builtIn = new Set(builtin.split('\n').map(moduleName))
  const files = wanted.flatMap((name) => {
    const ordered = needs.get(moduleName(name))
    if (ordered !== undefined) return ordered
    if (builtIn.has(moduleName(name))) return []
    throw new Error(`the kernel has no module ${name}`)
  })
  return [...new Set(files)]
}

/** The kernel takes "-" and "_" in the name of a module as the same. */
function moduleName(file: string): string {
  const name = file.slice(file.lastIndexOf('/') + 1).replace(/\.ko(\.xz)?$/, '')
  return name.replaceAll('-', '_')
}

// Wildcards of IAM policies: `*` stands for any characters, `?` for one (IAM user guide, "Using wildcards in Resource ARNs").

export function wildcard(pattern: string, flags = ''): RegExp {
  const source = pattern.replace(/[\s\S]/g, (character) => {
    if (character === '*') return '[\\s\\S]*'
    if (character === '?') return '[\\s\\S]'
    return character.replace(/[^\w\s]/, '\\$&')
  })
  return new RegExp(`^${source}$`, flags)
}

// `npm run crd`: writes the CRDs to deploy/crds. test/api proves that the files are current.
import { writeFileSync } from 'node:fs'
import { stringify } from 'yaml'

import { crds } from './crd.ts'

const header = '# Generated from src/api by `npm run crd`. Do not edit.\n'

export function renderCrd(manifest: object): string {
  return header + stringify(manifest, { aliasDuplicateObjects: false, lineWidth: 120 })
}

if (import.meta.main) {
  for (const { fileName, manifest } of crds) {
    writeFileSync(new URL(`../../deploy/crds/${fileName}`, import.meta.url), renderCrd(manifest))
  }
}

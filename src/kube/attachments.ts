// Writes to ENIAttachments that more than one program makes, each with the precondition that makes it safe.
import type { Claim, ENIAttachment } from '../api/eni-attachment.ts'
import { eniAttachmentSchema } from '../api/eni-attachment.ts'
import type { KubeClient } from './cluster.ts'
import { attachmentPath, attachmentsPath } from './resource.ts'

/** @throws KubeError 409 when the name exists. */
export async function createAttachment(
  cluster: KubeClient,
  body: object,
  fieldManager: string,
): Promise<ENIAttachment> {
  return eniAttachmentSchema.parse(await cluster.request('POST', attachmentsPath, { body, query: { fieldManager } }))
}

export async function readAttachment(cluster: KubeClient, name: string): Promise<ENIAttachment> {
  return eniAttachmentSchema.parse(await cluster.request('GET', attachmentPath(name)))
}

/** Sets or frees the claim, if the object is still as it was read. @throws KubeError 409 when it is not. */
export async function setClaim(
  cluster: KubeClient,
  { metadata }: ENIAttachment,
  claim: Claim | undefined,
  fieldManager: string,
): Promise<ENIAttachment> {
  const body = {
    metadata: { uid: metadata.uid, resourceVersion: metadata.resourceVersion },
    // In a merge patch null removes the field, and an object would be merged into the claim that is there.
    spec: { claim: claim ?? null },
  }
  const query = { fieldManager }
  return eniAttachmentSchema.parse(
    await cluster.request('PATCH', attachmentPath(metadata.name), { as: 'merge', body, query }),
  )
}

/** Starts the release, if the object is still as it was read: nobody has claimed it meanwhile. */
export async function deleteAttachment(cluster: KubeClient, { metadata }: ENIAttachment): Promise<void> {
  const body = { preconditions: { uid: metadata.uid, resourceVersion: metadata.resourceVersion } }
  await cluster.request('DELETE', attachmentPath(metadata.name), { body })
}

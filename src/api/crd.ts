// The two CustomResourceDefinitions, made from the zod schemas; generate-crds.ts writes them to deploy/crds.
import { z } from 'zod'

import { attachmentSpecSchema, attachmentStatusSchema } from './eni-attachment.ts'
import { group, version } from './names.ts'
import { nodeENISpecSchema, nodeENIStatusSchema } from './node-eni.ts'

interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly priority?: number
}

interface CustomResource {
  readonly kind: string
  readonly plural: string
  readonly shortName: string
  readonly description: string
  readonly spec: z.ZodType
  readonly status: z.ZodType
  readonly columns: readonly PrinterColumn[]
  readonly selectableFields?: readonly string[]
}

const nodeENI: CustomResource = {
  kind: 'NodeENI',
  plural: 'nodeenis',
  shortName: 'neni',
  description: 'Which ENIs may exist on which nodes, and under which resource name pods ask for them.',
  spec: nodeENISpecSchema,
  status: nodeENIStatusSchema,
  columns: [
    { name: 'Resource', type: 'string', jsonPath: '.spec.dpdkResourceName' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
    { name: 'Attached', type: 'integer', jsonPath: '.status.attached' },
    { name: 'In-Use', type: 'integer', jsonPath: '.status.inUse' },
    { name: 'Complete', type: 'string', jsonPath: '.status.conditions[?(@.type=="Complete")].status', priority: 1 },
    { name: 'Up-To-Date', type: 'string', jsonPath: '.status.conditions[?(@.type=="UpToDate")].status', priority: 1 },
    { name: 'Message', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].message', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
}

const eniAttachment: CustomResource = {
  kind: 'ENIAttachment',
  plural: 'eniattachments',
  shortName: 'enia',
  description: 'One ENI of a node from intent to release. Deleting it releases the ENI once no pod holds it.',
  spec: attachmentSpecSchema,
  status: attachmentStatusSchema,
  columns: [
    { name: 'Node', type: 'string', jsonPath: '.spec.nodeName' },
    { name: 'Resource', type: 'string', jsonPath: '.spec.resourceName' },
    { name: 'ENI-ID', type: 'string', jsonPath: '.status.eni.eniID' },
    { name: 'Subnet', type: 'string', jsonPath: '.status.eni.subnetID' },
    { name: 'Status', type: 'string', jsonPath: '.status.phase' },
    { name: 'PCI', type: 'string', jsonPath: '.status.device.pciAddress' },
    { name: 'Pod', type: 'string', jsonPath: '.spec.claim.name' },
    { name: 'Index', type: 'integer', jsonPath: '.status.eni.deviceIndex', priority: 1 },
    { name: 'MAC', type: 'string', jsonPath: '.status.eni.mac', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
  selectableFields: ['.spec.nodeName', '.spec.nodeENI'],
}

export const crds: readonly { readonly fileName: string; readonly manifest: object }[] = [nodeENI, eniAttachment].map(
  (resource) => ({ fileName: `${group}_${resource.plural}.yaml`, manifest: manifestOf(resource) }),
)

function manifestOf(resource: CustomResource): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${resource.plural}.${group}` },
    spec: {
      group,
      scope: 'Cluster',
      names: {
        kind: resource.kind,
        listKind: `${resource.kind}List`,
        plural: resource.plural,
        singular: resource.kind.toLowerCase(),
        shortNames: [resource.shortName],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: resource.columns,
          ...(resource.selectableFields && {
            selectableFields: resource.selectableFields.map((jsonPath) => ({ jsonPath })),
          }),
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: resource.description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: structuralSchema(resource.spec),
                status: structuralSchema(resource.status),
              },
            },
          },
        },
      ],
    },
  }
}

/** zod's JSON schema without what a structural schema must not have. */
function structuralSchema(schema: z.ZodType): object {
  const { $schema: _, ...structural } = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    override({ jsonSchema }) {
      // A CRD has no propertyNames; keys are bounded by the API server's own limits on labels and by maxProperties.
      delete jsonSchema.propertyNames
      // The API server knows date-time; zod's pattern for it is a page long.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
    },
  })
  return structural
}

// Writes the TypeScript types of the kubelet's gRPC messages into gen/ (git-ignored); `npm run proto` runs it.
// The options are those with which kubelet-api.ts loads the same files at run time.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const generator = fileURLToPath(new URL('../bin/proto-loader-gen-types.js', import.meta.resolve('@grpc/proto-loader')))
const repository = fileURLToPath(new URL('../..', import.meta.url))
const outDir = 'src/device-plugin/gen'

rmSync(`${repository}/${outDir}`, { recursive: true, force: true })
execFileSync(
  process.execPath,
  [
    generator,
    '--longs=Number',
    '--defaults',
    '--grpcLib=@grpc/grpc-js',
    '--importFileExtension=.ts',
    `--outDir=${outDir}`,
    'proto/deviceplugin.proto',
    'proto/podresources.proto',
  ],
  { cwd: repository, stdio: 'inherit' },
)

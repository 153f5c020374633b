// Where the API server is and who we are to it, by kubeconfig or service account; and what a kubeconfig may not ask of us.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { type ClusterAccess, clusterAccess } from '../../src/kube/kubeconfig.ts'

const noServiceAccount = '/nonexistent'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'jit-eni-kubeconfig-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

function kubeconfig(parts: { readonly cluster?: object; readonly user?: object | null }): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'other', cluster: { server: 'https://other.test' } },
      { name: 'c', cluster: { server: 'https://api.test:6443/', ...parts.cluster } },
    ],
    users: [{ name: 'u', user: parts.user === undefined ? {} : parts.user }],
    contexts: [
      { name: 'other', context: { cluster: 'other', user: 'u' } },
      { name: 'x', context: { cluster: 'c', user: 'u', namespace: 'default' } },
    ],
    'current-context': 'x',
  })
}

function access(t: TestContext, text: string): ClusterAccess {
  const file = join(scratch(t), 'kubeconfig')
  writeFileSync(file, text)
  return clusterAccess(file, {}, noServiceAccount)
}

const refused = (t: TestContext, text: string, message: RegExp) =>
  assert.throws(() => access(t, text), { name: 'SettingsError', message })

test('a kubeconfig is YAML, and its current context says which cluster and which user', (t) => {
  const text = `
apiVersion: v1
kind: Config
current-context: arn:aws:eks:eu-central-1:111122223333:cluster/five-g
clusters:
  - name: five-g
    cluster:
      certificate-authority-data: ${Buffer.from('PEM').toString('base64')}
      server: https://ABC.gr7.eu-central-1.eks.amazonaws.com
contexts:
  - context: { cluster: five-g, user: admin }
    name: arn:aws:eks:eu-central-1:111122223333:cluster/five-g
users:
  - name: admin
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1beta1
        command: aws
        args: [--region, eu-central-1, eks, get-token, --cluster-name, five-g]
        env:
          - { name: AWS_PROFILE, value: telco }
        interactiveMode: IfAvailable
        provideClusterInfo: false
preferences: {}
`
  const { server, authority, verifyServer, exec, token } = access(t, text)
  assert.equal(server.href, 'https://abc.gr7.eu-central-1.eks.amazonaws.com/')
  assert.deepEqual([authority, verifyServer, token], [{ text: 'PEM' }, true, undefined])
  assert.deepEqual(exec, {
    apiVersion: 'client.authentication.k8s.io/v1beta1',
    command: 'aws',
    args: ['--region', 'eu-central-1', 'eks', 'get-token', '--cluster-name', 'five-g'],
    env: [{ name: 'AWS_PROFILE', value: 'telco' }],
  })
})

test('files are found beside the kubeconfig, and what stands in it is preferred to them', (t) => {
  const directory = scratch(t)
  const file = join(directory, 'kubeconfig')
  const user = {
    'client-certificate': 'pki/me.crt',
    'client-certificate-data': Buffer.from('CRT').toString('base64'),
    'client-key': 'pki/me.key',
    tokenFile: '/absolute/token',
    token: 'in the kubeconfig',
    exec: { apiVersion: 'client.authentication.k8s.io/v1', command: './bin/login' },
  }
  writeFileSync(file, kubeconfig({ cluster: { 'certificate-authority': 'ca.crt' }, user }))
  const { authority, certificate, key, token, exec } = clusterAccess(file, {}, noServiceAccount)
  assert.deepEqual(authority, { file: join(directory, 'ca.crt') })
  assert.deepEqual(certificate, { text: 'CRT' })
  assert.deepEqual(key, { file: join(directory, 'pki/me.key') })
  assert.deepEqual(token, { file: '/absolute/token' }, 'the file can be renewed')
  assert.equal(exec?.command, join(directory, 'bin/login'))
})

test('a user may be nobody, and may act as another', (t) => {
  const nobody = access(t, kubeconfig({ user: null }))
  assert.deepEqual([nobody.token, nobody.basic, nobody.exec], [undefined, undefined, undefined])
  const somebody = access(t, kubeconfig({ user: { username: 'a', password: 'b', as: 'c' } }))
  assert.deepEqual([somebody.basic, somebody.impersonate], [{ username: 'a', password: 'b' }, 'c'])
})

test('what we do not do is refused when we start, not left out', (t) => {
  const oidc = { 'auth-provider': { name: 'oidc', config: { 'id-token': 'secret' } } }
  refused(t, kubeconfig({ user: oidc }), /^KUBECONFIG: auth-provider oidc is not supported: use exec, token or a cert/)
  const socks = { 'proxy-url': 'socks5://me:secret@127.0.0.1:1080' }
  refused(
    t,
    kubeconfig({ cluster: socks }),
    /^KUBECONFIG: proxy-url is not supported: it must be an http or https proxy$/,
  )
  for (const more of [
    { 'as-groups': ['system:masters'] },
    { 'as-uid': '7' },
    { 'as-user-extra': { scopes: ['view'] } },
  ]) {
    refused(
      t,
      kubeconfig({ user: { as: 'me', ...more } }),
      /^KUBECONFIG: as-uid, as-groups .* not supported: use as alone$/,
    )
  }
  refused(t, kubeconfig({ cluster: { server: 'http://api.test' } }), /^KUBECONFIG: a server without TLS /)
})

test('a file that is no kubeconfig is named, with what is wrong in it and none of its secrets', (t) => {
  refused(t, ': {', /^KUBECONFIG: \/.*kubeconfig: \S+/)
  refused(t, 'just text', /^KUBECONFIG: \/.*kubeconfig: .*expected object/)
  refused(
    t,
    kubeconfig({ cluster: { server: 'api.test' } }),
    /^KUBECONFIG: \/.*Invalid URL.*clusters\[1\]\.cluster\.server/,
  )
  const user = { token: ['secret'] }
  assert.throws(
    () => access(t, kubeconfig({ user })),
    ({ message }: Error) => /users\[0\]\.user\.token/.test(message) && !message.includes('secret'),
  )
  for (const broken of ['users:\n- token: secret: x\n', 'token: *secret\n', 'token: "secret\\q"\n']) {
    assert.throws(
      () => access(t, broken),
      ({ message }: Error) => /kubeconfig: it is not YAML/.test(message) && !message.includes('secret'),
    )
  }
  refused(t, 'users:\n- token: secret: x\n', /: it is not YAML: line 2 \(BLOCK_AS_IMPLICIT_KEY\)$/)
})

test('what is empty is not there', (t) => {
  const { authority, token, impersonate, proxy } = access(
    t,
    kubeconfig({ cluster: { 'certificate-authority': '', 'proxy-url': '' }, user: { token: '', as: '' } }),
  )
  assert.deepEqual([authority, token, impersonate, proxy], [undefined, undefined, undefined, undefined])
})

test('without a kubeconfig: KUBECONFIG, then ~/.kube/config, then the service account of the pod, then an error', (t) => {
  const directory = scratch(t)
  const home = join(directory, 'home')
  const serviceAccount = join(directory, 'serviceaccount')
  mkdirSync(join(home, '.kube'), { recursive: true })
  mkdirSync(serviceAccount)
  const pod = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443', HOME: home }
  const nothingSet = /no cluster to talk to: set KUBECONFIG, or run in a pod with a service account/

  assert.throws(() => clusterAccess(undefined, pod, serviceAccount), nothingSet)
  writeFileSync(join(serviceAccount, 'token'), 'secret')
  assert.throws(() => clusterAccess(undefined, {}, serviceAccount), nothingSet)
  const inPod = clusterAccess(undefined, pod, serviceAccount)
  assert.equal(inPod.server.href, 'https://[fd00::1]/')
  assert.deepEqual(inPod.authority, { file: join(serviceAccount, 'ca.crt') })
  assert.deepEqual(inPod.token, { file: join(serviceAccount, 'token') })
  assert.equal(inPod.verifyServer, true)

  writeFileSync(join(home, '.kube/config'), kubeconfig({}))
  assert.equal(clusterAccess(undefined, pod, serviceAccount).server.host, 'api.test:6443')
  const named = join(directory, 'named')
  writeFileSync(named, kubeconfig({ cluster: { server: 'https://named.test' } }))
  const env = { ...pod, KUBECONFIG: named }
  assert.equal(clusterAccess(undefined, env, serviceAccount).server.host, 'named.test')
})

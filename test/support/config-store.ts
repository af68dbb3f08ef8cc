import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { runProgram } from '../../src/cli/program.ts'
import type { ConfigurationView } from '../../src/core/stored-files.ts'
import type { TablesView } from '../../src/core/views.ts'
import { startConsul } from './consul.ts'
import { startEtcd } from './etcd.ts'
import type { GatewayProcess } from './gateway.ts'

/** A real server that configuration is kept in, seen with its own words. */
export interface StoreServer {
  readonly name: 'consul' | 'etcd'
  /** For `--store`. */
  readonly url: string
  /** For sluice.yaml. */
  readonly registries: string
  put(key: string, value: string): Promise<void>
  remove(key: string): Promise<void>
  /** All keys below a prefix, in their order. */
  keys(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]>
  kill9(): Promise<void>
  restart(options?: { wipe?: boolean }): Promise<void>
  stop(): Promise<void>
}

export async function startConsulStore(): Promise<StoreServer> {
  const consul = await startConsul()
  return {
    name: 'consul',
    url: consul.url,
    registries: `registries: { main: { type: consul, url: "${consul.url}", wait: 2s } }`,
    put: async (key, value) => {
      // As `consul kv put`: the value as it is, not as JSON.
      await fetch(`${consul.url}/v1/kv/${key}`, { method: 'PUT', body: value })
    },
    remove: async (key) => void (await fetch(`${consul.url}/v1/kv/${key}`, { method: 'DELETE' })),
    async keys(prefix) {
      const answer = await fetch(`${consul.url}/v1/kv/${prefix}?recurse`)
      if (answer.status === 404) return []
      const found = (await answer.json()) as { Key: string; Value: string | null }[]
      return found.map(({ Key, Value }) => ({
        key: Key,
        value: Buffer.from(Value ?? '', 'base64').toString('utf8'),
      }))
    },
    kill9: () => consul.kill9(),
    restart: (options) => consul.restart(options),
    stop: () => consul.stop(),
  }
}

export async function startEtcdStore(): Promise<StoreServer> {
  const etcd = await startEtcd()
  return {
    name: 'etcd',
    url: etcd.url.replace('http:', 'etcd:'),
    registries: `registries: { main: { type: etcd, endpoints: ["${etcd.url}"], probeInterval: 1s } }`,
    put: async (key, value) => void (await etcd.put(key, value)),
    remove: (key) => etcd.remove(key),
    keys: (prefix) => etcd.list(prefix),
    kill9: () => etcd.kill9(),
    restart: (options) => etcd.restart(options),
    stop: () => etcd.stop(),
  }
}

/** A folder with files to push. */
export interface PushFolder {
  readonly path: string
  write(name: string, text: string): void
  read(name: string): string
  close(): void
}

export function pushFolder(files: Readonly<Record<string, string>> = {}): PushFolder {
  const path = mkdtempSync(join(tmpdir(), 'sluice-push-'))
  const folder: PushFolder = {
    path,
    write(name, text) {
      mkdirSync(dirname(join(path, name)), { recursive: true })
      writeFileSync(join(path, name), text)
    },
    read: (name) => readFileSync(join(path, name), 'utf8'),
    close: () => rmSync(path, { recursive: true, force: true }),
  }
  for (const [name, text] of Object.entries(files)) folder.write(name, text)
  return folder
}

/** `sluice …` in this process; `env` has nothing but what is given. */
export async function sluice(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await runProgram(['node', 'sluice', ...args], {
    env: { USER: 'ann', ...env },
    hasColor: false,
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

/** A route that answers with its own text. */
export const answering = (name: string, text: string, path = '/'): string =>
  `routes: [{ name: ${name}, match: { pathPrefix: ${path} }, respond: { status: 200, body: "${text}" } }]\n`

/** What a gateway says of its configuration. */
export async function configurationOf(gateway: GatewayProcess): Promise<ConfigurationView> {
  const { configuration } = await gateway.admin<TablesView>('/api/tables')
  return configuration as ConfigurationView
}

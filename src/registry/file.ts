import { hash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { type Clock, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { Instance, ProviderStatus, ServiceInstances } from '../core/types.ts'
import { instanceRecord, recordToInstance } from './instance-record.ts'
import { keepSame } from './keep-same.ts'
import type { RegistryProvider, RegistrySink } from './provider.ts'

/** Changes are also looked for this often: not every file system tells. ms. */
const POLL_MS = 2000
/** A change is read once it was quiet for this long. ms. */
const SETTLE_MS = 50

const ownFormat = z.strictObject({
  services: z.record(
    z.string(),
    z.array(z.preprocess((one) => (typeof one === 'string' ? { url: one } : one), instanceRecord)),
  ),
})

/** Prometheus file_sd: the service is the label `service`, else `job`. */
const fileSd = z.array(
  z.object({
    targets: z.array(z.string()),
    labels: z.record(z.string(), z.string()).default({}),
  }),
)

function toFileInstance(registry: string, service: string, given: unknown): Instance {
  const result = instanceRecord.safeParse(given)
  if (!result.success)
    throw new GatewayError('GW_REGISTRY_FILE', result.error.issues[0]?.message ?? 'not valid')
  return recordToInstance(`${registry}/file/${service}`, service, result.data)
}

function fromFileSd(groups: z.output<typeof fileSd>): Map<string, unknown[]> {
  const services = new Map<string, unknown[]>()
  for (const { targets, labels } of groups) {
    const service = labels['service'] ?? labels['job']
    if (service === undefined) {
      throw new GatewayError('GW_REGISTRY_FILE', 'a target group has neither the label service nor job')
    }
    const { scheme = labels['__scheme__'] ?? 'http', version, zone } = labels
    const list = services.get(service) ?? []
    services.set(service, list)
    for (const target of targets) {
      list.push({
        url: `${scheme}://${target}`,
        meta: labels,
        ...(version === undefined ? {} : { version }),
        ...(zone === undefined ? {} : { zone }),
      })
    }
  }
  return services
}

/** Reads one file. Throws GW_REGISTRY_FILE with file:line:column of the first mistake. */
export function parseRegistryFile(registry: string, file: string, text: string): Map<string, Instance[]> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const place = (offset: number | undefined) => {
    const { line, col } = lines.linePos(offset ?? 0)
    return `${file}:${line}:${col}`
  }
  const [broken] = document.errors
  if (broken !== undefined) {
    throw new GatewayError('GW_REGISTRY_FILE', `${place(broken.pos[0])}: ${broken.message}`)
  }
  const value: unknown = document.toJS() ?? { services: {} }
  const result = (Array.isArray(value) ? fileSd : ownFormat).safeParse(value)
  if (!result.success) {
    const [issue] = result.error.issues
    const path = issue?.path ?? []
    let node: { range?: [number, number, number] } | undefined
    // The nearest that is there: of a plain text there is no key url, of a missing key nothing.
    for (let end = path.length; end > 0 && node?.range === undefined; end--) {
      if (document.hasIn(path.slice(0, end))) node = document.getIn(path.slice(0, end), true) as typeof node
    }
    const where = path.map(String).join('.')
    throw new GatewayError('GW_REGISTRY_FILE', `${place(node?.range?.[0])}: ${where}: ${issue?.message}`)
  }
  const given = Array.isArray(result.data)
    ? fromFileSd(result.data)
    : new Map<string, unknown[]>(Object.entries(result.data.services))
  const services = new Map<string, Instance[]>()
  for (const [name, list] of given) {
    try {
      services.set(
        name,
        list.map((one) => toFileInstance(registry, name, one)),
      )
    } catch (cause) {
      throw new GatewayError('GW_REGISTRY_FILE', `${file}: services.${name}`, { cause })
    }
  }
  return services
}

async function listFiles(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const names = (await readdir(path)).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name))
  return names.sort().map((name) => join(path, name))
}

/**
 * Instances from a YAML or JSON file, or a folder of them. A file that is not valid changes nothing: what was
 * read before stays, and the status says file, line and reason.
 */
export function createFileProvider(name: string, path: string, deps: { clock: Clock }): RegistryProvider {
  let known = new Map<string, ServiceInstances>()
  let epoch = 0
  let lastText: string | undefined
  let status: ProviderStatus = { state: 'connecting' }

  async function read(sink: RegistrySink): Promise<void> {
    try {
      const files = await listFiles(path)
      const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')))
      const text = files.map((file, i) => `${file}\n${texts[i]}`).join('\n')
      if (text === lastText && status.state === 'live') return
      const services = new Map<string, Instance[]>()
      files.forEach((file, i) => {
        for (const [service, instances] of parseRegistryFile(name, file, texts[i] as string)) {
          services.set(service, [...(services.get(service) ?? []), ...instances])
        }
      })
      lastText = text
      known = keepSame(known, services)
      status = { state: 'live', lastSuccess: deps.clock.now() }
      sink.status(status)
      const revision = hash('sha1', text, 'hex').slice(0, 12)
      sink.next({ services: known, failed: new Set(), revision, epoch: epoch++, problems: [] })
    } catch (thrown) {
      lastText = undefined
      const lastError = { at: deps.clock.now(), code: 'GW_REGISTRY_FILE', message: errorText(thrown) }
      status = { ...status, state: known.size === 0 ? 'failed' : 'stale', lastError }
      sink.status(status)
    }
  }

  return {
    name,
    async watch(sink, signal) {
      let wake = new AbortController()
      let watcher: FSWatcher | undefined
      await read(sink)
      while (!signal.aborted) {
        watcher ??= await watchFolder(path, () => wake.abort())
        await sleep(POLL_MS, AbortSignal.any([signal, wake.signal]))
        if (wake.signal.aborted) {
          wake = new AbortController()
          await sleep(SETTLE_MS, signal)
        }
        if (!signal.aborted) await read(sink)
      }
      watcher?.close()
    },
  }
}

/** Folders, not files: files are replaced by renaming. Undefined when there is no such folder (yet). */
async function watchFolder(path: string, onEvent: () => void): Promise<FSWatcher | undefined> {
  try {
    const folder = (await stat(path)).isDirectory() ? path : dirname(path)
    return watch(folder, { persistent: false }, onEvent).on('error', () => {})
  } catch {
    return undefined
  }
}

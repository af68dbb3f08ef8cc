import { hash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { type Clock, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { Instance, ProviderStatus, ServiceInstances } from '../core/types.ts'
import { type ListMistake, mistakeText, readInstanceList, readListedRecord } from './instance-list.ts'
import { keepSame } from './keep-same.ts'
import type { RegistryProvider, RegistrySink } from './provider.ts'

/** Changes are also looked for this often: not every file system tells. ms. */
const POLL_MS = 2000
/** A change is read once it was quiet for this long. ms. */
const SETTLE_MS = 50

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
  const refuse = (mistake: ListMistake): GatewayError => {
    let node: { range?: [number, number, number] } | undefined
    // The nearest that is there: of a plain text there is no key url, of a missing key nothing.
    for (let end = mistake.path.length; end > 0 && node?.range === undefined; end--) {
      const path = mistake.path.slice(0, end)
      if (document.hasIn(path)) node = document.getIn(path, true) as typeof node
    }
    return new GatewayError('GW_REGISTRY_FILE', `${place(node?.range?.[0])}: ${mistakeText(mistake)}`)
  }
  const outline = readInstanceList(document.toJS() ?? { services: {} })
  if ('mistake' in outline) throw refuse(outline.mistake)
  const services = new Map<string, Instance[]>()
  for (const [service, records] of outline.list) {
    const instances = records.map((record) => {
      const read = readListedRecord(`${registry}/file/${service}`, service, record)
      if ('mistake' in read) throw refuse(read.mistake)
      return read.instance
    })
    services.set(service, instances)
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

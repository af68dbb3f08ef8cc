import { type Logger, pino } from 'pino'
import type { Random } from '../src/core/duration.ts'
import type { RequestRecord } from '../src/core/record.ts'

export interface LogOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'
  readonly access: { readonly enabled: boolean; readonly query: boolean; readonly sample: number }
}

/** Where lines go. */
export interface LineSink {
  write(line: string): unknown
}

/** Text is put together in this process and written in pieces of about this size. Characters. */
const PIECE_LENGTH = 32 * 1024
/** What waits to be written is written this often. ms. */
const FLUSH_MS = 500

/** Puts lines together: pino's destination measures all that it holds with each line, which costs more than the line. */
export class LineBuffer implements LineSink {
  readonly #sink: LineSink & { flushSync(): void }
  #text = ''

  constructor(sink: LineSink & { flushSync(): void }) {
    this.#sink = sink
  }

  write(line: string): void {
    this.#text += line
    if (this.#text.length >= PIECE_LENGTH) this.flush()
  }

  /** Hands on what is there. */
  flush(): void {
    const text = this.#text
    this.#text = ''
    if (text !== '') this.#sink.write(text)
  }

  /** The same, and waits until it is written; pino calls it after a fatal line. */
  flushSync(): void {
    this.flush()
    this.#sink.flushSync()
  }
}

/** The two logs of the gateway on standard output: its own doing (pino), and one line a request. */
export interface Logs {
  readonly log: Logger
  /** Writes the access log line of a request. */
  access(record: RequestRecord): void
  /** Writes what is buffered; at the end of the process. */
  flush(): void
}

/** Logs to standard output, asynchronously. */
export function createLogs(options: LogOptions, random: Random): Logs {
  const destination = pino.destination({ dest: 1, sync: false })
  // The reader of the pipe may go away; the gateway goes on.
  destination.on('error', () => {})
  const lines = new LineBuffer(destination)
  const timer = setInterval(() => lines.flush(), FLUSH_MS)
  timer.unref()
  const base = { level: options.level, base: null, timestamp: () => `,"time":${Date.now()}` }
  const log = pino(base, lines)
  const access = options.access.enabled ? createAccessLog(options.access, lines, random) : () => {}
  return {
    log,
    access,
    flush() {
      clearInterval(timer)
      try {
        lines.flushSync()
      } catch {
        // Standard output is gone.
      }
    },
  }
}

const quote = JSON.stringify

/** Two decimals; `toFixed` takes three times as long. */
function ms(value: number): string {
  const hundredths = Math.round(value * 100)
  const rest = hundredths % 100
  return `${(hundredths - rest) / 100}.${rest < 10 ? '0' : ''}${rest}`
}

/** One line as JSON; put together by hand because it is made for each request. */
export function accessLine(record: RequestRecord, withQuery: boolean): string {
  const { attempts } = record
  let line =
    `{"level":30,"time":${record.startedAt},"msg":"request","id":${quote(record.requestId)},` +
    `"trace":"${record.traceId}","method":${quote(record.method)},"scheme":"${record.scheme}",` +
    `"http":"${record.httpVersion}","host":${quote(record.host)},"path":${quote(record.path)},`
  if (withQuery && record.query !== '') line += `"query":${quote(record.query)},`
  line += `"status":${record.status},"outcome":"${record.outcome}",`
  if (record.code !== undefined) line += `"code":"${record.code}",`
  if (record.route !== undefined) line += `"route":${quote(record.route)},`
  if (record.service !== undefined) line += `"service":${quote(record.service)},`
  if (record.instanceAddress !== undefined) {
    line += `"instance":${quote(record.instanceKey ?? '')},"address":${quote(record.instanceAddress)},`
  }
  if (record.version !== undefined) line += `"version":${quote(record.version)},`
  if (record.canary !== undefined) {
    const { rule, side, wanted } = record.canary
    line += `"canary":${quote(rule)},"side":${quote(side)},`
    if (wanted !== undefined) line += `"side_wanted":${quote(wanted)},`
  }
  if (record.tableVersion !== undefined) line += `"table":${record.tableVersion},`
  line += `"ms_total":${ms(record.totalMs)},`
  if (record.upstreamMs !== undefined) line += `"ms_upstream":${ms(record.upstreamMs)},`
  if (record.filterMs > 0) line += `"ms_filters":${ms(record.filterMs)},`
  line += `"bytes_in":${record.bytesIn},"bytes_out":${record.bytesOut},"attempts":${attempts.length},`
  if (attempts.length > 1) {
    const tries = attempts.map(({ instanceKey, outcome, status, ms: took }) => ({
      instance: instanceKey,
      outcome,
      status,
      ms: Math.round(took * 100) / 100,
    }))
    line += `"tries":${quote(tries)},`
  }
  if (record.principal !== undefined) {
    line += `"principal":${quote(record.principal.id.slice(0, 256))},"auth":"${record.principal.kind}",`
  }
  if (record.refusedBy !== undefined) line += `"filter":${quote(record.refusedBy)},`
  if (record.wouldRefuse !== undefined) line += `"would_refuse":${quote(record.wouldRefuse)},`
  if (record.isUpgrade) line += '"upgrade":true,'
  if (record.userAgent !== undefined) line += `"ua":${quote(record.userAgent.slice(0, 256))},`
  return `${line}"ip":${quote(record.clientIp)}}\n`
}

/** The access log; good answers may be sampled, what went wrong is always written. */
export function createAccessLog(
  options: LogOptions['access'],
  sink: LineSink,
  random: Random,
): (record: RequestRecord) => void {
  return (record) => {
    const isGood = record.outcome === 'ok' && record.status < 500 && record.wouldRefuse === undefined
    if (isGood && options.sample < 1 && random() >= options.sample) return
    sink.write(accessLine(record, options.query))
  }
}

import { existsSync } from 'node:fs'
import koffi from 'koffi'
import { errorText, GatewayError } from '../core/errors.ts'

/** An address in the library's memory. */
export type Handle = bigint & { readonly __handle: unique symbol }

/** What a phase ended with; the library's texts are ours already. */
export interface Intervention {
  readonly status: number
  readonly log: string
}

const PACKAGES =
  'install the Debian packages libmodsecurity3 and modsecurity-crs (apt-get install libmodsecurity3 modsecurity-crs)'

const FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
  '/usr/local/modsecurity/lib',
]

/**
 * Where libmodsecurity 3 is: the given path, else SLUICE_MODSECURITY, else the usual folders, else its bare name, which the
 * loader looks up. Throws GW_WAF_LIBRARY when a named file is not there.
 */
export function findLibrary(path: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const named = path ?? env['SLUICE_MODSECURITY']
  if (named !== undefined && named !== '') {
    if (existsSync(named)) return named
    throw new GatewayError('GW_WAF_LIBRARY', `there is no ${named}: ${PACKAGES}`)
  }
  const found = FOLDERS.map((folder) => `${folder}/libmodsecurity.so.3`).find((each) => existsSync(each))
  return found ?? 'libmodsecurity.so.3'
}

/** `packages`: shown when rule files are missing as well. */
export function missingRules(folder: string): GatewayError {
  return new GatewayError('GW_WAF_LIBRARY', `there are no rules in ${folder}: ${PACKAGES}`)
}

function load(path: string) {
  try {
    return koffi.load(path)
  } catch (cause) {
    throw new GatewayError('GW_WAF_LIBRARY', `${path} cannot be loaded (${errorText(cause)}): ${PACKAGES}`)
  }
}

type CType = string | ReturnType<typeof koffi.struct> | ReturnType<typeof koffi.out>

function bind(path: string) {
  const library = load(path)
  const pointer = koffi.pointer('void')
  const error = koffi.out(koffi.pointer(koffi.pointer('void')))
  const logCallback = koffi.pointer(koffi.proto('void', [pointer, 'str']))
  const of = (name: string, result: CType, ...args: CType[]) => library.func(`msc_${name}`, result, args)
  const bytes: CType[] = [pointer, pointer, 'size_t']
  const field: CType[] = [pointer, pointer, 'size_t', pointer, 'size_t']
  return {
    logCallback,
    init: of('init', pointer),
    whoAmI: of('who_am_i', 'str', pointer),
    setConnectorInfo: of('set_connector_info', 'void', pointer, 'str'),
    setLogCallback: of('set_log_cb', 'void', pointer, logCallback),
    createRulesSet: of('create_rules_set', pointer),
    rulesAdd: of('rules_add', 'int', pointer, 'str', error),
    rulesAddFile: of('rules_add_file', 'int', pointer, 'str', error),
    rulesCleanup: of('rules_cleanup', 'int', pointer),
    newTransaction: of('new_transaction_with_id', pointer, pointer, pointer, 'str', pointer),
    processConnection: of('process_connection', 'int', pointer, 'str', 'int', 'str', 'int'),
    processUri: of('process_uri', 'int', pointer, pointer, 'str', 'str'),
    addRequestHeader: of('add_n_request_header', 'int', ...field),
    processRequestHeaders: of('process_request_headers', 'int', pointer),
    appendRequestBody: of('append_request_body', 'int', ...bytes),
    processRequestBody: of('process_request_body', 'int', pointer),
    addResponseHeader: of('add_n_response_header', 'int', ...field),
    processResponseHeaders: of('process_response_headers', 'int', pointer, 'int', 'str'),
    appendResponseBody: of('append_response_body', 'int', ...bytes),
    processResponseBody: of('process_response_body', 'int', pointer),
    processLogging: of('process_logging', 'int', pointer),
    intervention: of('intervention', 'int', pointer, pointer),
    transactionCleanup: of('transaction_cleanup', 'void', pointer),
  }
}

/** Offsets in `ModSecurityIntervention` of intervention.h on a 64-bit machine. Bytes. */
const INTERVENTION = { status: 0, url: 8, log: 16, size: 32 } as const

/** A text that the library allocated for us: taken over, then freed. */
function takeText(address: unknown): string {
  if (address === null || address === undefined || address === 0n) return ''
  const value = koffi.decode.string(address)
  koffi.free(address)
  return value
}

/** Latin-1 as Node's headers are; a pointer to nothing would be null, which C++ strings do not take. */
function latin1(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'latin1')
}

/**
 * libmodsecurity 3 in this thread. Not to be used from another one; rules must not be added in two threads at a time
 * (its parser has global state), nor two of these made at a time. It is never taken down again, because `msc_cleanup` takes
 * libcurl and libxml2 from all other threads: double frees. Every method is synchronous and may take milliseconds: workers
 * call it.
 */
export class ModSecurity {
  readonly #c: ReturnType<typeof bind>
  readonly #engine: Handle
  #lines: string[] = []

  /** Throws GW_WAF_LIBRARY. */
  constructor(path: string) {
    this.#c = bind(path)
    this.#engine = this.#c.init() as Handle
    this.#c.setConnectorInfo(this.#engine, 'sluice')
    const callback = koffi.register((_: unknown, line: string) => {
      this.#lines.push(line)
    }, this.#c.logCallback)
    this.#c.setLogCallback(this.#engine, callback)
  }

  /** `ModSecurity v3.0.9 (Linux)` */
  get version(): string {
    return this.#c.whoAmI(this.#engine) as string
  }

  /** What rules logged since the last call. */
  takeLines(): string[] {
    const lines = this.#lines
    this.#lines = []
    return lines
  }

  createRules(): Handle {
    return this.#c.createRulesSet() as Handle
  }

  /** Number of rules added, or what is wrong with them. */
  addText(rules: Handle, text: string): number | string {
    return this.#added(this.#c.rulesAdd, rules, text)
  }

  addFile(rules: Handle, path: string): number | string {
    return this.#added(this.#c.rulesAddFile, rules, path)
  }

  #added(add: ReturnType<typeof bind>['rulesAdd'], rules: Handle, argument: string): number | string {
    const error: [unknown] = [null]
    const count = add(rules, argument, error) as number
    const text = takeText(error[0])
    return count < 0 ? text || 'the rules cannot be read' : count
  }

  freeRules(rules: Handle): void {
    this.#c.rulesCleanup(rules)
  }

  begin(rules: Handle, id: string, clientIp: string): Handle {
    const transaction = this.#c.newTransaction(this.#engine, rules, id, null) as Handle
    this.#c.processConnection(transaction, clientIp, 0, '127.0.0.1', 80)
    return transaction
  }

  /** Phase 1. */
  requestHead(
    transaction: Handle,
    method: string,
    uri: string,
    version: string,
    headers: readonly string[],
  ): void {
    this.#c.processUri(transaction, latin1(uri), method, version)
    this.#addHeaders(this.#c.addRequestHeader, transaction, headers)
    this.#c.processRequestHeaders(transaction)
  }

  /** Phase 2; also without a body. */
  requestBody(transaction: Handle, body: Uint8Array | undefined): void {
    if (body !== undefined && body.length > 0) this.#c.appendRequestBody(transaction, body, body.length)
    this.#c.processRequestBody(transaction)
  }

  /** Phase 3. */
  responseHead(transaction: Handle, status: number, version: string, headers: readonly string[]): void {
    this.#addHeaders(this.#c.addResponseHeader, transaction, headers)
    this.#c.processResponseHeaders(transaction, status, `HTTP/${version}`)
  }

  /** Phase 4. */
  responseBody(transaction: Handle, body: Uint8Array): void {
    if (body.length > 0) this.#c.appendResponseBody(transaction, body, body.length)
    this.#c.processResponseBody(transaction)
  }

  #addHeaders(
    add: ReturnType<typeof bind>['addRequestHeader'],
    transaction: Handle,
    headers: readonly string[],
  ): void {
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = latin1(headers[i] as string)
      const value = latin1(headers[i + 1] as string)
      add(transaction, name, name.length - 1, value, value.length - 1)
    }
  }

  /** What the last phase wants done; undefined = nothing. Asking resets it. */
  intervention(transaction: Handle): Intervention | undefined {
    const out = Buffer.alloc(INTERVENTION.size)
    out.writeInt32LE(200, INTERVENTION.status)
    const isDisruptive = (this.#c.intervention(transaction, out) as number) !== 0
    takeText(out.readBigUInt64LE(INTERVENTION.url))
    const log = takeText(out.readBigUInt64LE(INTERVENTION.log))
    return isDisruptive ? { status: out.readInt32LE(INTERVENTION.status), log } : undefined
  }

  /** Phase 5, and the end of it. */
  end(transaction: Handle): void {
    this.#c.processLogging(transaction)
    this.#c.transactionCleanup(transaction)
  }
}

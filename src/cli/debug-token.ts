import { ConfigError, formatProblems, loadConfig } from '../config/load.ts'
import { createDebugToken, DEBUG_HEADER, MAX_DEBUG_TTL_MS } from '../core/debug-token.ts'
import { parseDuration } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface DebugTokenOptions {
  readonly ttl: string
  readonly config: string
  readonly json?: true
}

/** The variable that `admin.debugKey` may come from; with it no configuration is read. */
const VARIABLE = 'SLUICE_ADMIN_DEBUG_KEY'
const MIN_KEY_BYTES = 32

async function keyOf(config: string, terminal: Terminal): Promise<string | undefined> {
  const given = terminal.env[VARIABLE]
  if (given !== undefined && given !== '') {
    if (Buffer.byteLength(given) >= MIN_KEY_BYTES) return given
    throw new GatewayError('GW_CLI_MISUSE', `${VARIABLE} is shorter than ${MIN_KEY_BYTES} bytes`)
  }
  try {
    const loaded = await loadConfig({ path: config, env: terminal.env })
    const { debugKey } = loaded.static.admin
    if (debugKey !== undefined) return debugKey
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    terminal.err(formatProblems(thrown.problems, { color: terminal.hasColor }))
    return undefined
  }
  throw new GatewayError('GW_CLI_MISUSE', `set admin.debugKey in ${config}, or ${VARIABLE}`)
}

/**
 * `sluice debug-token`: a request header that makes the gateway explain the request. 0 printed, 1 the configuration is not
 * valid; throws GW_CLI_MISUSE, GW_CONFIG_UNREADABLE.
 */
export async function debugToken(options: DebugTokenOptions, terminal: Terminal): Promise<ExitCode> {
  const ttlMs = parseDuration(options.ttl) ?? 0
  if (ttlMs < 1000 || ttlMs > MAX_DEBUG_TTL_MS) {
    throw new GatewayError('GW_CLI_MISUSE', `--ttl ${options.ttl}: write 1s to 24h`)
  }
  const key = await keyOf(options.config, terminal)
  if (key === undefined) return 1
  const now = Date.now()
  const token = createDebugToken(key, now, ttlMs)
  if (options.json === true) {
    const expiresAt = Number(token.slice(0, token.indexOf('.'))) * 1000
    terminal.out(JSON.stringify({ header: DEBUG_HEADER, value: token, expiresAt }, undefined, 2))
  } else {
    terminal.out(`${DEBUG_HEADER}: ${token}`)
  }
  return 0
}

import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { errorText } from '../core/errors.ts'
import type { CheckPolicy } from '../core/health-policy.ts'
import type { ServicePolicy } from '../core/route.ts'
import type { Instance } from '../core/types.ts'
import { authorityOf, originOf, serverNameFor, tlsOptions } from './transport.ts'

/** What one check found. */
export interface CheckResult {
  readonly isHealthy: boolean
  /** In words: `GET /health answered 503`, `no answer within 2 s`. */
  readonly text: string
}

/**
 * Asks an instance once, over a connection of its own, with the TLS settings of the service. Never rejects. `signal`
 * ends it, and the result then means nothing.
 */
export function checkOnce(
  instance: Instance,
  policy: ServicePolicy,
  check: CheckPolicy,
  signal: AbortSignal,
): Promise<CheckResult> {
  return new Promise((resolve) => {
    let close = () => {}
    const finish = (isHealthy: boolean, text: string) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      close()
      resolve({ isHealthy, text })
    }
    const stop = () => finish(false, 'the check was ended')
    const timer = setTimeout(
      () => finish(false, `its check got no answer within ${check.timeoutMs / 1000} s`),
      check.timeoutMs,
    )
    timer.unref()
    signal.addEventListener('abort', stop)
    const failed = (error: unknown) => finish(false, `its check failed: ${errorText(error)}`)
    const answered = (status: number) =>
      finish(check.expect.includes(status), `${check.method} ${check.path} answered ${status}`)
    const connected = () => finish(true, 'it accepts connections')
    const open = check.type === 'tcp' ? openTcp : instance.scheme === 'h2c' ? askHttp2 : askHttp
    try {
      close = open({ instance, policy, check, answered, connected, failed })
    } catch (thrown) {
      failed(thrown)
    }
  })
}

interface Asking {
  readonly instance: Instance
  readonly policy: ServicePolicy
  readonly check: CheckPolicy
  answered(status: number): void
  connected(): void
  failed(error: unknown): void
}

/** Each starts one check and gives back what ends it. */
type Ask = (asking: Asking) => () => void

function secure(instance: Instance, policy: ServicePolicy, host: string) {
  const servername = serverNameFor(instance, policy, host)
  return { ...tlsOptions(policy), ...(servername === undefined ? {} : { servername }) }
}

const openTcp: Ask = ({ instance, policy, check, connected, failed }) => {
  const place = { host: instance.address, port: instance.port }
  const isSecure = instance.scheme === 'https'
  const socket = isSecure
    ? connectTls({ ...place, ...secure(instance, policy, check.host ?? '') })
    : connectTcp(place)
  socket.on('error', failed).once(isSecure ? 'secureConnect' : 'connect', connected)
  return () => socket.destroy()
}

const askHttp: Ask = ({ instance, policy, check, answered, failed }) => {
  const host = check.host ?? authorityOf(instance)
  const options = {
    host: instance.address,
    port: instance.port,
    method: check.method,
    path: check.path,
    headers: { host, 'user-agent': 'sluice-check' },
    // A connection of its own, closed afterwards.
    agent: false,
  } as const
  const onResponse = (response: IncomingMessage) => answered(response.statusCode ?? 0)
  const outgoing =
    instance.scheme === 'https'
      ? httpsRequest({ ...options, ...secure(instance, policy, host) }, onResponse)
      : httpRequest(options, onResponse)
  outgoing.on('error', failed).end()
  return () => outgoing.destroy()
}

const askHttp2: Ask = ({ instance, check, answered, failed }) => {
  const session = connectHttp2(originOf(instance))
  session.on('error', failed)
  const stream = session.request({
    ':method': check.method,
    ':path': check.path,
    ':authority': check.host ?? authorityOf(instance),
    'user-agent': 'sluice-check',
  })
  stream.on('error', failed).on('response', (headers) => answered(headers[':status'] ?? 0))
  stream.end()
  return () => session.destroy()
}

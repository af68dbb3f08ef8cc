import { GatewayError } from '../core/errors.ts'

/** Where the running gateway is, and who asks. */
export interface AdminAddress {
  readonly admin: string
  readonly token?: string | undefined
}

const TIMEOUT_MS = 10_000
/** A large configuration takes a while to compile. */
const COMPILE_TIMEOUT_MS = 60_000

type Said<T> = T & { readonly detail?: string; readonly title?: string }

async function ask<T>(
  { admin, token }: AdminAddress,
  path: string,
  body: object | undefined,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly answer: Said<T> }> {
  try {
    const response = await fetch(new URL(path, admin), {
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
    return { status: response.status, answer: (await response.json()) as Said<T> }
  } catch (cause) {
    throw new GatewayError('GW_ADMIN_UNREACHABLE', `no gateway answers at ${admin}; name it with --admin`, {
      cause,
    })
  }
}

/**
 * Asks the admin API; with a body it is a POST. Throws GW_ADMIN_UNREACHABLE, GW_ADMIN_UNAUTHORIZED, for everything else
 * the gateway refuses GW_ADMIN_NOT_FOUND, _CONFLICT, _BAD_REQUEST, with its words.
 */
export async function callAdmin<T>(target: AdminAddress, path: string, body?: object): Promise<T> {
  const { status, answer } = await ask<T>(target, path, body, TIMEOUT_MS)
  if (status >= 200 && status < 300) return answer
  const text = `${target.admin}: ${answer.detail ?? answer.title ?? status}`
  if (status === 401) throw new GatewayError('GW_ADMIN_UNAUTHORIZED', text)
  if (status === 409) throw new GatewayError('GW_ADMIN_CONFLICT', text)
  throw new GatewayError(status === 404 ? 'GW_ADMIN_NOT_FOUND' : 'GW_ADMIN_BAD_REQUEST', text)
}

/**
 * Opens a stream of the admin API. Throws GW_ADMIN_UNREACHABLE (also when the signal aborts), GW_ADMIN_UNAUTHORIZED,
 * GW_ADMIN_BAD_REQUEST.
 */
export async function openAdmin(
  { admin, token }: AdminAddress,
  path: string,
  own: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<Response> {
  let response: Response
  try {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    response = await fetch(new URL(path, admin), {
      headers: { ...own.headers, ...authorization },
      signal: own.signal,
    })
  } catch (cause) {
    throw new GatewayError('GW_ADMIN_UNREACHABLE', `no gateway answers at ${admin}; name it with --admin`, {
      cause,
    })
  }
  if (response.ok && response.body !== null) return response
  await response.body?.cancel()
  throw new GatewayError(
    response.status === 401 ? 'GW_ADMIN_UNAUTHORIZED' : 'GW_ADMIN_BAD_REQUEST',
    `${admin}${path}: ${response.status}`,
  )
}

/**
 * Posts a configuration; resolves to status and answer, also when it is not valid (422). Throws GW_ADMIN_UNREACHABLE,
 * GW_ADMIN_UNAUTHORIZED.
 */
export async function postAdmin<T>(
  target: AdminAddress,
  path: string,
  body: object,
): Promise<{ readonly status: number; readonly answer: T }> {
  const { status, answer } = await ask<T>(target, path, body, COMPILE_TIMEOUT_MS)
  if ((status >= 200 && status < 300) || status === 422) return { status, answer }
  const text = `${target.admin}: ${answer.detail ?? answer.title ?? status}`
  throw new GatewayError(status === 401 ? 'GW_ADMIN_UNAUTHORIZED' : 'GW_ADMIN_UNREACHABLE', text)
}

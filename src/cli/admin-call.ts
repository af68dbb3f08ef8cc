import { GatewayError } from '../core/errors.ts'

const TIMEOUT_MS = 10_000

/** A running gateway. */
export interface AdminTarget {
  readonly admin: string
  readonly token?: string | undefined
}

/**
 * Asks the admin API; with a body it is a POST. Throws GW_ADMIN_UNREACHABLE, GW_ADMIN_UNAUTHORIZED, for everything else
 * the gateway refuses GW_ADMIN_NOT_FOUND, _CONFLICT, _BAD_REQUEST, with its words.
 */
export async function callAdmin<T>({ admin, token }: AdminTarget, path: string, body?: object): Promise<T> {
  let response: Response
  try {
    response = await fetch(new URL(path, admin), {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
  } catch (cause) {
    throw new GatewayError('GW_ADMIN_UNREACHABLE', `no gateway answers at ${admin}; name it with --admin`, {
      cause,
    })
  }
  const answer = (await response.json()) as T & { code?: string; detail?: string; title?: string }
  if (response.ok) return answer
  const text = `${admin}: ${answer.detail ?? answer.title ?? response.status}`
  if (response.status === 401) throw new GatewayError('GW_ADMIN_UNAUTHORIZED', text)
  if (response.status === 409) throw new GatewayError('GW_ADMIN_CONFLICT', text)
  throw new GatewayError(response.status === 404 ? 'GW_ADMIN_NOT_FOUND' : 'GW_ADMIN_BAD_REQUEST', text)
}

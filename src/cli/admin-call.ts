import { GatewayError } from '../core/errors.ts'

/** Where the running gateway is, and who asks. */
export interface AdminAddress {
  readonly admin: string
  readonly token?: string
}

/** A large configuration takes a while to compile. */
const TIMEOUT_MS = 60_000

/**
 * Posts JSON to a running gateway; resolves to status and answer. Throws GW_ADMIN_UNREACHABLE, GW_ADMIN_UNAUTHORIZED.
 */
export async function postAdmin<T>(
  { admin, token }: AdminAddress,
  path: string,
  body: object,
): Promise<{ readonly status: number; readonly answer: T }> {
  let response: Response
  try {
    response = await fetch(new URL(path, admin), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
  } catch (cause) {
    throw new GatewayError('GW_ADMIN_UNREACHABLE', `no gateway answers at ${admin}; name it with --admin`, {
      cause,
    })
  }
  const answer = (await response.json()) as T & { detail?: string; title?: string }
  if (response.ok || response.status === 422) return { status: response.status, answer }
  const text = `${admin}: ${answer.detail ?? answer.title ?? response.status}`
  throw new GatewayError(response.status === 401 ? 'GW_ADMIN_UNAUTHORIZED' : 'GW_ADMIN_UNREACHABLE', text)
}

import { errorText } from '../core/errors.ts'

/** Where something is sent, and what may be said of it in a log: path and query of a webhook are its password. */
export interface Receiver {
  readonly url: string
  readonly host: string
  /** From the user part of the URL, which `fetch` refuses. */
  readonly authorization: string | undefined
}

/** Takes a URL apart. One that is none fails with each POST. */
export function receiverOf(text: string): Receiver {
  const url = URL.parse(text)
  if (url === null) return { url: text, host: 'no URL', authorization: undefined }
  const { host, username, password } = url
  if (username === '' && password === '') return { url: url.href, host, authorization: undefined }
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  url.username = ''
  url.password = ''
  return { url: url.href, host, authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}

/** POSTs JSON. Undefined = it was taken; else why not, without the URL. Never rejects. */
export async function postJson(
  { url, host, authorization }: Receiver,
  body: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])]),
    })
    await response.body?.cancel()
    return response.ok ? undefined : `status ${response.status}`
  } catch (thrown) {
    return errorText(thrown).replaceAll(url, host)
  }
}

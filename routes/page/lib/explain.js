// @ts-check
/** A request that is asked about: as fields of a form, as an address to share, and as the API wants it. */

/**
 * @typedef {object} Question
 * @property {string} method
 * @property {string} url
 * @property {string} headers One `name: value` per line.
 * @property {string} client Address.
 * @property {string} claims JSON; empty = nobody is signed in.
 * @property {boolean} trusted
 */

/** @type {Question} */
export const NO_QUESTION = { method: 'GET', url: '', headers: '', client: '', claims: '', trusted: false }

/** @param {Readonly<Record<string, string>>} query Of the place. @returns {Question} */
export const questionOf = ({
  method = 'GET',
  url = '',
  headers = '',
  client = '',
  claims = '',
  trusted = '',
}) => ({
  method: method.toUpperCase(),
  url,
  headers,
  client,
  claims,
  trusted: trusted === '1',
})

/** @param {Question} question @returns {Record<string, string>} Defaults are left out. */
export const queryOf = ({ method, url, headers, client, claims, trusted }) => ({
  method: method === 'GET' ? '' : method,
  url,
  headers,
  client,
  claims,
  trusted: trusted ? '1' : '',
})

/** @param {string} text @returns {{ headers: Record<string, string>, problem: string }} */
export function readHeaders(text) {
  /** @type {Record<string, string>} */
  const headers = Object.create(null)
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim().toLowerCase()
    if (colon <= 0 || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) {
      return { headers, problem: `Line ${index + 1} is not “name: value”` }
    }
    const value = line.slice(colon + 1).trim()
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  return { headers, problem: '' }
}

/** @param {string} text @returns {{ claims: object | undefined, problem: string }} */
export function readClaims(text) {
  if (text.trim() === '') return { claims: undefined, problem: '' }
  try {
    const claims = JSON.parse(text)
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims))
      return { claims, problem: '' }
    return { claims: undefined, problem: 'Must be an object: { "sub": "maria" }' }
  } catch {
    return { claims: undefined, problem: 'Not JSON (yet): { "sub": "maria" }' }
  }
}

/**
 * The body of POST /api/explain, and what is wrong with the fields; `body` is undefined while something is.
 * @param {Question} question
 */
export function bodyOf({ method, url, headers: headerText, client, claims: claimText, trusted }) {
  const { headers, problem: headersProblem } = readHeaders(headerText)
  const { claims, problem: claimsProblem } = readClaims(claimText)
  const isReady = url.trim() !== '' && headersProblem === '' && claimsProblem === ''
  const body = {
    method: method.trim() || 'GET',
    url: /^[a-z]+:\/\//i.test(url.trim()) ? url.trim() : `http://${url.trim()}`,
    headers,
    ...(client.trim() === '' ? {} : { clientIp: client.trim() }),
    ...(claims === undefined ? {} : { claims }),
    trusted,
  }
  return { body: isReady ? body : undefined, headersProblem, claimsProblem }
}

/** Words of a command line, as a POSIX shell would cut it. @param {string} text */
function words(text) {
  const found = text.replaceAll(/\\\r?\n/g, ' ').matchAll(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g)
  return [...found].map(([word]) =>
    word.replaceAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g, (_, single, double, escaped) =>
      single !== undefined
        ? single
        : double !== undefined
          ? double.replaceAll(/\\(["\\$`])/g, '$1')
          : escaped,
    ),
  )
}

/** Options of curl with a value that says nothing of where a request goes. */
const SKIPPED =
  /^(?:-o|--output|-m|--max-time|--connect-timeout|-u|--user|-w|--write-out|--resolve|--cacert|--cert|--key|-F|--form|-T)$/

/** A request that was copied as a `curl` command; undefined = it is none. @param {string} text @returns {Question | undefined} */
export function readCurl(text) {
  const [command, ...rest] = words(text.trim())
  if (command !== 'curl') return undefined
  let [method, url] = ['', '']
  /** @type {string[]} */
  const headers = []
  for (let index = 0; index < rest.length; index += 1) {
    const [word = '', next = ''] = [rest[index], rest[index + 1]]
    if (/^(?:-X|--request)$/.test(word)) method = next
    else if (/^(?:-H|--header)$/.test(word)) headers.push(next)
    else if (/^(?:-A|--user-agent)$/.test(word)) headers.push(`user-agent: ${next}`)
    else if (/^(?:-b|--cookie)$/.test(word)) headers.push(`cookie: ${next}`)
    else if (/^(?:-d|--data(?:-raw|-binary|-urlencode)?|--json)$/.test(word)) method ||= 'POST'
    else if (word === '--url') url = next
    else if (!SKIPPED.test(word)) {
      if (word === '-I' || word === '--head') method ||= 'HEAD'
      if (!word.startsWith('-')) url = word
      continue
    }
    index += 1
  }
  return url === ''
    ? undefined
    : { ...NO_QUESTION, method: method.toUpperCase() || 'GET', url, headers: headers.join('\n') }
}

/**
 * A request that a route takes, as far as its host and path say.
 * @param {Pick<import('./shapes.js').RouteView, 'hosts' | 'path' | 'methods'>} route
 * @returns {Question}
 */
export function exampleOf({ hosts, path, methods }) {
  const host = (hosts[0] ?? location.hostname).replace(/^\*{1,2}/, 'www')
  const where = path.kind === 'regex' ? '/' : path.value.replaceAll(/\{[^}]*\}/g, '1')
  return { ...NO_QUESTION, method: methods[0] ?? 'GET', url: `http://${host}${where}` }
}

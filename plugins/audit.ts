import { appendFile } from 'node:fs/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AuditEntry, AuditNote } from '../src/core/audit-view.ts'
import { errorText } from '../src/core/errors.ts'
import { Ring } from '../src/core/ring.ts'
import { isReading } from './admin-auth.ts'

/** Changes by people that are remembered … */
const KEPT = 500
/** … and registrations by services: those come with every deployment and must not push the others out. */
const KEPT_AGENT = 100
/** Lines that wait for the file. */
const MAX_WAITING = 1000
/** Lines of a diff. */
const MAX_DIFF = 100

export interface AuditDeps {
  now(): number
  /** Appended to; undefined = none. */
  readonly file: string | undefined
  readonly log: { info(fields: object, text: string): void; error(fields: object, text: string): void }
  /** Versions of the table, oldest first. */
  versions(): readonly { readonly version: number; readonly changes: readonly string[] }[]
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The newest table before this request did anything. */
    tableBefore: number
  }
}

type Body = Readonly<Record<string, unknown>>
type Params = Readonly<Record<string, string>>

/** What an endpoint does, by method and path. What is not listed is told by these two. */
const ACTIONS: Readonly<Record<string, (params: Params, body: Body) => AuditNote>> = {
  'POST /api/instances/:id/drain': ({ id }, { undo, reason }) => ({
    action: undo === true ? 'undo drain' : 'drain',
    ...named(id),
    ...inWords(reason),
  }),
  'POST /api/canary/:rule': ({ rule }, { action, percent, force, reason }) => ({
    action: `canary ${textOf(action)}`,
    ...named(rule),
    detail: [
      ...(typeof percent === 'number' ? [`${percent} %`] : []),
      ...(force === true ? ['forced'] : []),
      ...(textOf(reason) === '' ? [] : [textOf(reason)]),
    ].join(', '),
  }),
  'POST /api/tables/:version/rollback': ({ version }) => ({ action: 'rollback', target: `table ${version}` }),
  'POST /api/reload': (_, { force }) => ({ action: 'reload', detail: force === true ? 'forced' : '' }),
  'POST /api/mirror/:name/reset': ({ name }) => ({ action: 'reset mirror', ...named(name) }),
  'DELETE /api/contracts/:name': ({ name }) => ({ action: 'forget contract', ...named(name) }),
  'POST /api/session': () => ({ action: 'sign in' }),
  'DELETE /api/session': () => ({ action: 'sign out' }),
  'PUT /v1/agent/service/register': (_, { ID, Name }) => ({
    action: 'register',
    target: textOf(ID) || textOf(Name),
  }),
  'PUT /v1/agent/service/deregister/:id': ({ id }) => ({ action: 'deregister', ...named(id) }),
  'PUT /v1/agent/service/maintenance/:id': ({ id }) => ({ action: 'maintenance', ...named(id) }),
}

/** What services and other gateways say every few seconds: no changes. */
const isBeat = (url: string): boolean => url.startsWith('/v1/agent/check/') || url === '/api/fleet/reports'
const isAgent = (url: string): boolean => url.startsWith('/v1/')

const named = (target: string | undefined): AuditNote => ({ target: textOf(target) })
const inWords = (detail: unknown): AuditNote => ({ detail: textOf(detail) })

/** What stands in a line must not begin another one, nor move a terminal. */
const textOf = (value: unknown): string =>
  typeof value === 'string' ? value.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, 256) : ''

const plainObject = (value: unknown): Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : {}

/** What was changed through the admin API, by whom: the last changes in memory, each a line of the log and of a file. */
export class Audit {
  readonly #deps: AuditDeps
  readonly #kept = new Ring<AuditEntry>(KEPT)
  readonly #agents = new Ring<AuditEntry>(KEPT_AGENT)
  #writing: Promise<void> = Promise.resolve()
  #waiting = 0

  constructor(deps: AuditDeps) {
    this.#deps = deps
  }

  /** The newest first. */
  view(limit: number): AuditEntry[] {
    const all = [...this.#kept.newest(limit), ...this.#agents.newest(limit)]
    return all.sort((a, b) => b.at - a.at).slice(0, limit)
  }

  /** Looks on at everything that the admin side answers. After the guard. */
  watch(app: FastifyInstance): void {
    app.decorateRequest('tableBefore', 0)
    app.addHook('preHandler', async (request) => {
      request.tableBefore = this.#deps.versions().at(-1)?.version ?? 0
    })
    app.addHook('onResponse', async (request, reply) => this.#answered(request, reply))
  }

  #answered(request: FastifyRequest, reply: FastifyReply): void {
    const { url } = request.routeOptions
    // No such endpoint, a question, or somebody without any right to be here.
    if (url === undefined || isReading(request) || isBeat(url)) return
    if (reply.statusCode === 401) {
      if (url === '/api/session') this.#deps.log.info({ address: request.ip }, 'audit: a sign-in was refused')
      return
    }
    const describe = ACTIONS[`${request.method} ${url}`]
    const path = request.url.split('?', 1)[0] ?? ''
    const body = plainObject(request.body)
    const note = describe?.(request.params as Params, body) ?? {
      action: request.method,
      target: textOf(path),
    }
    const by = textOf(body['by'])
    const { who } = request.caller
    const outcome = outcomeOf(reply.statusCode)
    const diff = outcome === 'done' ? this.#diffOf(note.action, request.tableBefore) : undefined
    this.add(
      {
        at: this.#deps.now(),
        who: by === '' || by === who ? who : `${by} (${who})`,
        address: request.ip,
        action: note.action ?? request.method,
        target: note.target ?? '',
        detail: note.detail ?? '',
        outcome,
        ...(diff === undefined ? {} : { diff }),
      },
      isAgent(url),
    )
  }

  #diffOf(action: string | undefined, before: number): readonly string[] | undefined {
    if (action !== 'reload' && action !== 'rollback') return undefined
    const changes = this.#deps.versions().flatMap((one) => (one.version > before ? one.changes : []))
    if (changes.length <= MAX_DIFF) return changes
    return [...changes.slice(0, MAX_DIFF), `… ${changes.length - MAX_DIFF} more`]
  }

  /** `isAgent`: a service, not a person. */
  add(entry: AuditEntry, isAgent = false): void {
    const kept = isAgent ? this.#agents : this.#kept
    kept.add(entry)
    const { action, target, who } = entry
    this.#deps.log.info({ audit: entry }, `audit: ${action} ${target === '' ? '' : `${target} `}by ${who}`)
    this.#append(entry)
  }

  #append(entry: AuditEntry): void {
    const { file, log } = this.#deps
    if (file === undefined) return
    if (this.#waiting >= MAX_WAITING) {
      log.error({ file }, 'the audit file takes no lines: this one is only in the log')
      return
    }
    this.#waiting++
    // Opened for each line: the file may have been renamed away.
    this.#writing = this.#writing
      .then(() => appendFile(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 }))
      .catch((thrown: unknown) =>
        log.error({ file, err: errorText(thrown) }, 'the audit file cannot be written'),
      )
      .finally(() => {
        this.#waiting--
      })
  }

  /** Resolves when all lines are in the file. */
  async close(): Promise<void> {
    await this.#writing
  }
}

function outcomeOf(status: number): AuditEntry['outcome'] {
  if (status < 400) return 'done'
  if (status === 422) return 'rejected'
  return status === 403 ? 'refused' : 'failed'
}

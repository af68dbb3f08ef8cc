import { STABLE } from '../src/core/canary.ts'
import type { Clock, Random } from '../src/core/duration.ts'
import { errorText } from '../src/core/errors.ts'
import {
  ContractBook,
  type ContractBreach,
  type ContractView,
  type Observation,
} from '../src/mirror/contract-book.ts'
import { decodeBody } from '../src/mirror/decode.ts'
import { parseJson } from '../src/mirror/json.ts'
import type { Side } from '../src/routing/release.ts'
import type { Table } from '../src/routing/table.ts'
import { AnswerCopy } from './answer-copy.ts'
import type { ExchangeWatch, WatchedRequest } from './exchange-watch.ts'

export interface ContractsDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void }
  /** A field that was dropped or retyped; each once. */
  onBreach(breach: ContractBreach): void
}

/** Answers that wait to be looked at; what is beyond is not looked at. */
const MAX_WAITING = 16

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i

/** Undefined = no release tells the instances apart. */
function isOfStable(side: Side | undefined, key: string): boolean | undefined {
  if (side === undefined) return undefined
  const found = side.keys.has(key) ? side : side.fallbacks.find(({ keys }) => keys.has(key))
  return found === undefined ? undefined : found.name === STABLE
}

/** Looks at samples of JSON answers, after they went to the client. */
export class Contracts {
  readonly #deps: ContractsDeps
  readonly #book = new ContractBook()
  #waiting = 0

  constructor(deps: ContractsDeps) {
    this.#deps = deps
  }

  readonly watch = ({ routed, method }: WatchedRequest): ExchangeWatch | undefined => {
    const spec = routed.route.spec.contract
    if (spec === undefined || method === 'HEAD' || this.#waiting >= MAX_WAITING) return undefined
    if (spec.sample < 1 && this.#deps.random() >= spec.sample) return undefined
    const copy = new AnswerCopy(spec.maxBodyBytes)
    const route = routed.route.spec.name
    return {
      head: (status, headers) => {
        const isWanted = status >= 200 && status < 300 && JSON_TYPE.test(headers.get('content-type') ?? '')
        const length = Number(headers.get('content-length') ?? 0)
        if (isWanted && length <= spec.maxBodyBytes) copy.head(status, headers)
        else copy.drop()
      },
      data: (chunk) => copy.data(chunk),
      over: (result, isWhole) => {
        const instance = result.attempts.at(-1)?.instance
        const body = isWhole ? copy.body() : undefined
        if (body === undefined || copy.headers === undefined || instance === undefined) return
        const coding = copy.headers.get('content-encoding')
        const service = routed.serviceName ?? ''
        const { key, version } = instance
        const target = { route, service, version, isStable: isOfStable(routed.side, key), spec }
        this.#waiting++
        // The client's answer goes out first.
        setImmediate(() => void this.#look(body, coding, target))
      },
    }
  }

  async #look(
    body: Buffer,
    coding: string | undefined,
    target: Omit<Observation, 'value' | 'at'>,
  ): Promise<void> {
    try {
      const decoded = await decodeBody(body, coding, target.spec.maxBodyBytes)
      const value = decoded === undefined ? undefined : parseJson(decoded.toString('utf8'))
      if (value === undefined) return
      const breaches = this.#book.observe({ ...target, value, at: this.#deps.clock.now() })
      for (const breach of breaches) this.#deps.onBreach(breach)
    } catch (thrown) {
      this.#deps.log.warn({ route: target.route, err: errorText(thrown) }, 'an answer could not be looked at')
    } finally {
      this.#waiting--
    }
  }

  /** After a swap: routes that are no longer watched. */
  keepOnly(table: Table): void {
    this.#book.keepOnly((route) => table.routes.get(route)?.spec.contract !== undefined)
  }

  /** Everything that was broken and not forgotten; for the ramp, see `breachesOf`. */
  breaches(): readonly ContractBreach[] {
    return this.#book.breaches()
  }

  view(): readonly ContractView[] {
    return this.#book.view()
  }

  /** What the route answers from now on is right; false = nothing is known of it. */
  forget(route: string): boolean {
    return this.#book.forget(route)
  }
}

/**
 * The steps in the life of an instance. By rollcheck: `started`, `told to stop`, `exited`. By the gateways:
 * `in rotation`, `drain mark` (the registry says draining), `out of rotation`, `last accept` (its last request began),
 * `idle` (its last request ended), `sockets closed`, `gone` (left the registry).
 */
export const STEPS = [
  'started',
  'in rotation',
  'told to stop',
  'drain mark',
  'out of rotation',
  'last accept',
  'idle',
  'sockets closed',
  'gone',
  'exited',
] as const
export type Step = (typeof STEPS)[number]

/** One life of one instance. Times: ms since the epoch, of the gateway that saw the step last. */
export interface Life {
  /** `shop#4`, or the registry's id when rollcheck did not start it. */
  readonly name: string
  readonly address?: string
  readonly id?: string
  readonly version?: string
  readonly steps: Partial<Readonly<Record<Step, number>>>
  /** Exit code, or the name of the signal that ended it. */
  readonly exit?: number | string
  readonly findings: readonly string[]
}

interface OpenLife {
  name: string
  address?: string
  id?: string
  version?: string
  steps: Partial<Record<Step, number>>
  exit?: number | string
  findings: string[]
}

/** What a gateway says of an instance. */
export interface Sighting {
  readonly id: string
  readonly address: string
  readonly version?: string
}

const portOf = (address: string) => address.slice(address.lastIndexOf(':') + 1)
/** Steps of which the first report counts; of the others the last gateway's. */
const FIRST: ReadonlySet<Step> = new Set(['started', 'told to stop', 'exited'])

/** Collects the steps of all instances. */
export class Timeline {
  readonly #lives: OpenLife[] = []

  /** A process that rollcheck starts: it is known by its port until the registry gives it an id. */
  start(name: string, own: { address?: string; version?: string }, at: number): void {
    this.#lives.push({ name, ...own, steps: { started: at }, findings: [] })
  }

  /** Notes a step of a life known by its name. */
  note(name: string, step: Step, at: number): void {
    const life = this.#lives.findLast((one) => one.name === name)
    if (life !== undefined) this.#set(life, step, at)
  }

  exit(name: string, exit: number | string, at: number): void {
    const life = this.#lives.findLast((one) => one.name === name)
    if (life === undefined) return
    life.exit = exit
    this.#set(life, 'exited', at)
  }

  find(name: string, text: string): void {
    this.#lives.findLast((one) => one.name === name)?.findings.push(text)
  }

  /** Notes what a gateway saw. An id that is new begins a life of its own, unless a started one has this port. */
  see(sighting: Sighting, step: Step, at: number): void {
    this.#set(this.lifeOf(sighting), step, at)
  }

  /** The name of the life that a gateway's instance belongs to. */
  nameOf(sighting: Sighting): string {
    return this.lifeOf(sighting).name
  }

  private lifeOf({ id, address, version }: Sighting): OpenLife {
    let life =
      this.#lives.findLast((one) => one.id === id) ??
      this.#lives.findLast(
        (one) => one.id === undefined && one.address !== undefined && portOf(one.address) === portOf(address),
      )
    if (life === undefined) {
      life = { name: id, steps: {}, findings: [] }
      this.#lives.push(life)
    }
    life.id = id
    life.address = address
    if (version !== undefined) life.version ??= version
    return life
  }

  #set(life: OpenLife, step: Step, at: number): void {
    const known = life.steps[step]
    if (known !== undefined && (FIRST.has(step) || known >= at)) return
    // Back in rotation after an ejection is no second beginning.
    if (step === 'in rotation' && known !== undefined) return
    life.steps[step] = at
  }

  lives(): readonly Life[] {
    return this.#lives
  }
}

/** A life that was on its way in or out at some moment. */
export interface Meanwhile {
  readonly name: string
  readonly address?: string
  /** The last step before that moment. */
  readonly step: Step
  /** How long before; ms. */
  readonly sinceMs: number
}

/** A step explains what happens for so long after it. ms. */
const ECHO_MS = 3000

/** Which instances were in which step between two moments: those with a step shortly before or within. */
export function meanwhile(lives: readonly Life[], from: number, until: number): Meanwhile[] {
  const found: Meanwhile[] = []
  for (const { name, address, steps } of lives) {
    const known = STEPS.flatMap((step) => {
      const at = steps[step]
      return at === undefined ? [] : [{ step, at }]
    })
    const before = known.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)
    const last = before.at(-1)
    if (last === undefined) continue
    const isLeaving = steps['told to stop'] !== undefined && steps['told to stop'] <= until
    const hasLeft = last.step === 'exited' || last.step === 'gone'
    if (last.at < from - ECHO_MS && (!isLeaving || hasLeft)) continue
    if (last.step === 'in rotation' && last.at < from - ECHO_MS) continue
    found.push({
      name,
      ...(address === undefined ? {} : { address }),
      step: last.step,
      sinceMs: Math.round(until - last.at),
    })
  }
  return found
}

import { PRIORITY_CLASSES, type PriorityClass, rankOf } from '../core/priority-class.ts'

/** Why a request was not let in. */
export type GateRefusal =
  /** At the limit, and there is no queue. */
  | 'limit'
  | 'queue_full'
  | 'queue_timeout'
  /** Pushed out of the queue by a more important request. */
  | 'displaced'

/** What holds for one request. */
export interface GateRule {
  /** Requests in flight up to which this class is let in; asked again each time a place becomes free. */
  cap(priorityClass: PriorityClass): number
  /** Waiting requests of all classes. 0 = nobody waits. */
  readonly queueLength: number
  /** ms. */
  readonly queueTimeoutMs: number
}

/** Where a request stands. `over`: it left, or its end was told. */
export type TicketState = 'in' | 'waiting' | 'refused' | 'over'

/** Runs `fire` once after `ms`; the result stops that. */
export type Schedule = (ms: number, fire: () => void) => () => void

/** Timers of the machine; they do not hold the process. */
export const systemSchedule: Schedule = (ms, fire) => {
  const timer = setTimeout(fire, ms)
  timer.unref()
  return () => clearTimeout(timer)
}

/** One request at a gate. */
export class Ticket {
  readonly priorityClass: PriorityClass
  readonly rule: GateRule
  state: TicketState = 'over'
  /** In flight when it was let in, itself among them. */
  inFlight = 0
  refusal: GateRefusal | undefined
  /** Called once when a waiting request is let in or refused; not when it leaves. */
  onSettled: (() => void) | undefined
  stopTimer: (() => void) | undefined

  constructor(priorityClass: PriorityClass, rule: GateRule) {
    this.priorityClass = priorityClass
    this.rule = rule
  }
}

/**
 * Lets so many requests in at a time. Those who wait stand in one queue a class: a free place goes to the highest
 * class that may use it, within a class to who came first. (Last come first served would answer more of those who
 * still wait, but our waits are bounded to a fraction of any client's patience, and it starves the first.) When the
 * queue is full, a request pushes out the newest of the lowest class below its own.
 *
 * A ticket holds its place until `leave`, which counts once however often it is called.
 */
export class ConcurrencyGate {
  readonly #schedule: Schedule
  readonly #queues: readonly Ticket[][] = PRIORITY_CLASSES.map(() => [])
  #inFlight = 0
  #queued = 0

  constructor(schedule: Schedule = systemSchedule) {
    this.#schedule = schedule
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get queued(): number {
    return this.#queued
  }

  /** The ticket is `in`, `waiting` or `refused`. */
  enter(priorityClass: PriorityClass, rule: GateRule): Ticket {
    const ticket = new Ticket(priorityClass, rule)
    if (this.#inFlight < rule.cap(priorityClass) && !this.#hasEqualWaiting(priorityClass)) {
      this.#admit(ticket)
    } else if (rule.queueLength === 0) {
      refuse(ticket, 'limit')
    } else if (this.#queued < rule.queueLength || this.#pushOut(priorityClass)) {
      this.#enqueue(ticket)
    } else {
      refuse(ticket, 'queue_full')
    }
    return ticket
  }

  /** The request is over, or its client went away while it waited. */
  leave(ticket: Ticket): void {
    const { state } = ticket
    ticket.state = 'over'
    if (state === 'waiting') {
      this.#unqueue(ticket)
      this.admitWaiting()
    } else if (state === 'in') {
      this.#inFlight--
      this.admitWaiting()
    }
  }

  /** Lets in who now may; also to be called when a limit rose. */
  admitWaiting(): void {
    for (const queue of this.#queues) {
      for (;;) {
        const first = queue[0]
        if (first === undefined || this.#inFlight >= first.rule.cap(first.priorityClass)) break
        this.#unqueue(first)
        this.#admit(first)
        first.onSettled?.()
      }
    }
  }

  /** Who comes now must not overtake. */
  #hasEqualWaiting(priorityClass: PriorityClass): boolean {
    return this.#queued > 0 && (this.#queues[rankOf(priorityClass)] as Ticket[]).length > 0
  }

  #admit(ticket: Ticket): void {
    this.#inFlight++
    ticket.inFlight = this.#inFlight
    ticket.state = 'in'
  }

  #enqueue(ticket: Ticket): void {
    ticket.state = 'waiting'
    this.#queued++
    ;(this.#queues[rankOf(ticket.priorityClass)] as Ticket[]).push(ticket)
    ticket.stopTimer = this.#schedule(ticket.rule.queueTimeoutMs, () =>
      this.#turnAway(ticket, 'queue_timeout'),
    )
  }

  #unqueue(ticket: Ticket): void {
    const queue = this.#queues[rankOf(ticket.priorityClass)] as Ticket[]
    queue.splice(queue.indexOf(ticket), 1)
    this.#queued--
    ticket.stopTimer?.()
    ticket.stopTimer = undefined
  }

  #pushOut(priorityClass: PriorityClass): boolean {
    for (let rank = PRIORITY_CLASSES.length - 1; rank > rankOf(priorityClass); rank--) {
      const newest = this.#queues[rank]?.at(-1)
      if (newest === undefined) continue
      this.#turnAway(newest, 'displaced')
      return true
    }
    return false
  }

  #turnAway(ticket: Ticket, refusal: GateRefusal): void {
    if (ticket.state !== 'waiting') return
    this.#unqueue(ticket)
    refuse(ticket, refusal)
    ticket.onSettled?.()
  }
}

function refuse(ticket: Ticket, refusal: GateRefusal): void {
  ticket.state = 'refused'
  ticket.refusal = refusal
}

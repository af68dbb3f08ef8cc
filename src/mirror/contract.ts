import { JSON_KINDS, type JsonKind } from '../core/json-field.ts'
import type { Place, Shape } from './shape.ts'

/** What a service no longer keeps. */
export interface Breach {
  /** `dropped`: a field that was always there is missing. `retyped`: a kind of value that never came comes. */
  readonly kind: 'dropped' | 'retyped'
  readonly path: string
  /** What was there until now: `string`, `number or null`. */
  readonly before: string
  /** `absent`, or the kind that came. */
  readonly after: string
  /** Answers that show it, of how many. */
  readonly count: number
  readonly answers: number
}

export interface JudgeRules {
  /** Earlier answers with a field before its word counts. */
  readonly minSamples: number
  /** A field in at least this share of earlier answers is expected. */
  readonly requiredFrom: number
}

/** So many answers must show a breach: one may be an accident. */
const MIN_SHOWN = 3
/** … and so many times more than chance would have it. */
const BEYOND_CHANCE = 5

/** Whether `shown` of `answers` is more than what `before` of `total` earlier ones let expect. */
function isBeyondChance(shown: number, answers: number, before: number, total: number): boolean {
  const expected = (answers * (before + 1)) / (total + 2)
  return shown >= MIN_SHOWN && shown > BEYOND_CHANCE * expected
}

function kindsText(place: Place): string {
  const kinds = JSON_KINDS.filter((_, i) => (place.kinds[i] as number) > 0)
  return kinds.join(' or ')
}

/** What recent answers lack or have otherwise than the earlier ones. Pure. */
export function findBreaches(earlier: Shape, recent: Shape, rules: JudgeRules): Breach[] {
  const breaches: Breach[] = []
  for (const [path, place] of earlier.places) {
    const now = recent.places.get(path)
    if (place.parent !== undefined) {
      const total = earlier.places.get(place.parent)?.objects ?? 0
      const answers = recent.places.get(place.parent)?.objects ?? 0
      const count = answers - (now?.complete ?? 0)
      const isExpected = total >= rules.minSamples && place.complete / total >= rules.requiredFrom
      if (isExpected && isBeyondChance(count, answers, total - place.complete, total)) {
        breaches.push({ kind: 'dropped', path, before: kindsText(place), after: 'absent', count, answers })
      }
    }
    if (now === undefined || place.answers < rules.minSamples) continue
    now.kinds.forEach((count, i) => {
      if (!isBeyondChance(count, now.answers, place.kinds[i] as number, place.answers)) return
      const after = JSON_KINDS[i] as JsonKind
      breaches.push({ kind: 'retyped', path, before: kindsText(place), after, count, answers: now.answers })
    })
  }
  return breaches
}

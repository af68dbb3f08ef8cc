import type { Hit, Verdict } from './types.ts'

/** A request with hundreds of hits is no reason for hundreds of lines. */
const MAX_LINES = 12

export interface ReportSink {
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  countHit(category: Hit['category']): void
}

/** What a verdict is about. */
export interface Subject {
  readonly filter: string
  readonly requestId: string
  readonly route: string
  readonly phase: 'request' | 'answer'
}

/** Hits and verdict in the log, values masked; nothing for a clean request. */
export function reportVerdict(
  subject: Subject,
  verdict: Verdict,
  isEnforced: boolean,
  sink: ReportSink,
): void {
  const { hits, isBlocked, ruleId, score } = verdict
  for (const hit of hits) sink.countHit(hit.category)
  if (hits.length === 0 && !isBlocked) return
  for (const hit of hits.slice(0, MAX_LINES)) sink.log.info({ ...subject, ...hit }, 'waf hit')
  const fields = { ...subject, hits: hits.length, score, ruleId }
  if (!isBlocked) sink.log.info(fields, 'waf: below the threshold')
  else sink.log.warn(fields, isEnforced ? 'waf: refused' : 'waf: would have refused')
}

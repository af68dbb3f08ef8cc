/**
 * Who goes first when there is not enough for all; the first is the most important. `health`: probes and what a
 * configuration marks so; `authenticated`: somebody we know; `anonymous`: a stranger; `bots`: crawlers and tools.
 */
export const PRIORITY_CLASSES = ['health', 'authenticated', 'anonymous', 'bots'] as const

export type PriorityClass = (typeof PRIORITY_CLASSES)[number]

/** RE2 for User-Agents of crawlers that say so; `+https://…` is where they explain themselves. */
export const BOT_AGENTS: readonly string[] = [
  'bot[/;]',
  'bot$',
  'crawler',
  'spider',
  'slurp',
  'scrapy',
  'facebookexternalhit',
  '\\+https?://',
]

/** 0 for the most important. */
export function rankOf(priorityClass: PriorityClass): number {
  return PRIORITY_CLASSES.indexOf(priorityClass)
}

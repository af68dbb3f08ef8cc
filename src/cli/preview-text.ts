import type { Fate, PreviewReport } from '../core/preview-view.ts'

const time = (at: number): string => new Date(at).toISOString().replace('T', ' ').slice(0, 19)

/** `shop > catalog`, `404 GW_ROUTE_NOT_FOUND`, `shop > catalog refused by limit`. */
function fateText({ route, service, side, answer, refusedBy }: Fate): string {
  const where =
    route === undefined ? answer : [route, service ?? answer, side].filter((one) => one).join(' > ')
  return refusedBy === undefined ? where : `${where} refused by ${refusedBy}`
}

/** What a preview says, for people. */
export function previewLines(preview: PreviewReport): string[] {
  const { total, from, to, changed, changedPercent, changes, refusals, notes } = preview
  const lines: string[] = []
  if (total === 0 || from === undefined || to === undefined) {
    lines.push('no requests are remembered yet: nothing to try it on')
  } else {
    lines.push(
      `of ${total} remembered requests (${time(from)} to ${time(to)} UTC) ${changed} change (${changedPercent} %)`,
    )
  }
  for (const [kind, { count, percent, examples }] of Object.entries(changes)) {
    if (count === 0) continue
    lines.push(`  ${kind.padEnd(8)} ${count} (${percent} %)`)
    for (const { request, before, after } of examples) {
      lines.push(`    ${request}: ${fateText(before)} -> ${fateText(after)}`)
    }
  }
  for (const { filter, beforePercent, afterPercent } of refusals) {
    lines.push(`  filter ${filter} would have refused ${afterPercent} % (now ${beforePercent} %)`)
  }
  return [...lines, ...notes.map((note) => `note: ${note}`)]
}

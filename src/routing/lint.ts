import type { FieldMatch } from '../core/route.ts'
import { isParam } from './host-index.ts'
import type { LintFinding } from './lint-finding.ts'
import { comparePrecedence } from './precedence.ts'
import { lintReleases } from './release-lint.ts'
import type { Route, Table } from './table.ts'

export type { LintFinding } from './lint-finding.ts'

/** Each condition of `a` is also one of `b`: what passes `b` passes `a`. */
function fieldsCover(a: readonly FieldMatch[], b: readonly FieldMatch[]): boolean {
  const ofB = new Set(b.map((field) => JSON.stringify(field)))
  return a.every((field) => ofB.has(JSON.stringify(field)))
}

/** Everything that passes the conditions of `b` passes those of `a`. */
function conditionsCover(a: Route, b: Route): boolean {
  const [ma, mb] = [a.spec.match, b.spec.match]
  const methods =
    ma.methods.length === 0 || (mb.methods.length > 0 && mb.methods.every((m) => ma.methods.includes(m)))
  const networks =
    ma.clientNetworks.length === 0 ||
    (mb.clientNetworks.length > 0 && mb.clientNetworks.every((n) => ma.clientNetworks.includes(n)))
  return (
    methods &&
    networks &&
    fieldsCover(ma.headers, mb.headers) &&
    fieldsCover(ma.query, mb.query) &&
    fieldsCover(ma.cookies, mb.cookies)
  )
}

function segmentsCover(a: readonly string[], b: readonly string[]): boolean {
  return a.every((segment, i) => {
    const other = b[i]
    return other !== undefined && (isParam(segment) ? other !== '' : segment === other)
  })
}

/** Each path that `b` takes is taken by `a`. */
function pathCovers(a: Route, b: Route): boolean {
  const [pa, pb] = [a.spec.match.path, b.spec.match.path]
  if (pa.kind === 'prefix' && a.precedence.segments.length === 0) return true
  if (pa.kind === 'regex' || pb.kind === 'regex') return pa.kind === pb.kind && pa.value === pb.value
  const [sa, sb] = [a.precedence.segments, b.precedence.segments]
  if (pa.kind === 'prefix') return segmentsCover(sa, sb)
  return pb.kind === 'exact' && sa.length === sb.length && segmentsCover(sa, sb)
}

/** One value can pass both; what nobody can tell counts as no. */
function canAgree(a: FieldMatch['match'], b: FieldMatch['match']): boolean {
  if (a.kind === b.kind) return a.kind === 'present' || a.kind === 'absent' || isSameMatch(a, b)
  return (a.kind === 'present' && b.kind !== 'absent') || (b.kind === 'present' && a.kind !== 'absent')
}

const isSameMatch = (a: FieldMatch['match'], b: FieldMatch['match']): boolean =>
  JSON.stringify(a) === JSON.stringify(b)

function fieldsOverlap(a: readonly FieldMatch[], b: readonly FieldMatch[]): boolean {
  return a.every((field) => b.every(({ name, match }) => name !== field.name || canAgree(field.match, match)))
}

/** Some request surely passes the conditions of both. */
function conditionsOverlap(a: Route, b: Route): boolean {
  const [ma, mb] = [a.spec.match, b.spec.match]
  const meet = (x: readonly string[], y: readonly string[]) =>
    x.length === 0 || y.length === 0 || x.some((one) => y.includes(one))
  return (
    meet(ma.methods, mb.methods) &&
    meet(ma.clientNetworks, mb.clientNetworks) &&
    fieldsOverlap(ma.headers, mb.headers) &&
    fieldsOverlap(ma.query, mb.query) &&
    fieldsOverlap(ma.cookies, mb.cookies)
  )
}

/** Both take some request, and nothing but their names says which of them gets it. */
const isDrawn = (a: Route, b: Route): boolean =>
  comparePrecedence(a, b)[1] === 'alphabetical name' &&
  pathCovers(a, b) &&
  pathCovers(b, a) &&
  conditionsOverlap(a, b)

const pathText = (route: Route): string => route.spec.match.path.value

function compareInHost(routes: readonly Route[], host: string, findings: Map<string, LintFinding>): void {
  for (let i = 0; i < routes.length; i++) {
    const b = routes[i] as Route
    for (let j = 0; j < i; j++) {
      const a = routes[j] as Route
      const isHidden = pathCovers(a, b) && conditionsCover(a, b)
      if (!isHidden && !isDrawn(a, b)) continue
      const rule = comparePrecedence(a, b)[1]
      const isTwin = isHidden && pathCovers(b, a) && conditionsCover(b, a)
      const code =
        !isHidden || (isTwin && rule === 'alphabetical name') ? 'ambiguous-routes' : 'shadowed-route'
      const where = `${host === '' ? 'any host' : host} ${pathText(b)}`
      findings.set(`${code} ${a.spec.name} ${b.spec.name}`, {
        code,
        routes: [b.spec.name, a.spec.name],
        sources: [b.spec.source, a.spec.source],
        message:
          code === 'ambiguous-routes'
            ? `routes "${a.spec.name}" (${a.spec.source}) and "${b.spec.name}" (${b.spec.source}) take ${isHidden ? 'the same' : 'some of the same'} requests for ${where}; "${a.spec.name}" wins only by its name`
            : `route "${b.spec.name}" (${b.spec.source}) never gets a request for ${where}: "${a.spec.name}" (${a.spec.source}) takes them all (${rule})`,
      })
      if (isHidden) break
    }
  }
}

function compareBuckets(table: Table, findings: Map<string, LintFinding>): void {
  const buckets = new Map<string, Route[]>()
  for (const route of table.routes.values()) {
    const hosts = route.spec.match.hosts.length === 0 ? [''] : route.spec.match.hosts
    for (const host of hosts) {
      // Only routes with the same first literal, or with none, can hide each other.
      const first = route.precedence.segments[0]
      const literal = first === undefined || isParam(first) || route.precedence.pathClass === 3 ? '' : first
      const key = `${host}\n${literal}`
      const bucket = buckets.get(key)
      if (bucket === undefined) buckets.set(key, [route])
      else bucket.push(route)
    }
  }
  for (const [key, bucket] of buckets) {
    const [host = '', literal = ''] = key.split('\n')
    const open = literal === '' ? [] : (buckets.get(`${host}\n`) ?? [])
    const routes = [...bucket, ...open].sort((a, b) => comparePrecedence(a, b)[0])
    compareInHost(routes, host, findings)
  }
}

/** Mistakes that are valid: routes that hide each other, services without anybody. Each names both routes. */
export function lintTable(table: Table): LintFinding[] {
  const findings = new Map<string, LintFinding>()
  compareBuckets(table, findings)
  for (const { spec } of table.routes.values()) {
    if (spec.action.kind !== 'proxy') continue
    for (const { service: name, weight } of spec.action.targets) {
      const service = table.services.get(name)
      if (weight === 0 || service === undefined || service.source === 'static') continue
      if (service.instances.length > 0) continue
      const code = service.source === 'absent' ? 'unknown-service' : 'no-instances'
      findings.set(`${code} ${spec.name} ${name}`, {
        code,
        routes: [spec.name],
        sources: [spec.source],
        message: `route "${spec.name}" (${spec.source}) goes to "${name}", ${code === 'unknown-service' ? 'which no registry knows' : 'which has no instance'}`,
      })
    }
  }
  return [...findings.values(), ...lintReleases(table)]
}

// The page shows what the admin API says. Everything goes in as text, never as markup: names come from registries.
const REFRESH_MS = 2000
const $ = (id) => document.getElementById(id)

function cell(text, kind) {
  const td = document.createElement('td')
  td.textContent = text ?? ''
  if (kind) td.className = kind
  return td
}

function row(...cells) {
  const tr = document.createElement('tr')
  tr.append(...cells.map((one) => (one instanceof Node ? one : cell(one))))
  return tr
}

const ago = (ms) =>
  ms === undefined ? 'never' : `${Math.max(0, Math.round((Date.now() - ms) / 1000))} s ago`

async function api(path, init = {}) {
  const token = sessionStorage.getItem('token')
  const headers = { ...init.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) }
  const response = await fetch(path, { ...init, headers })
  if (response.status === 401) {
    $('login').hidden = false
    throw new Error('the admin API needs a token')
  }
  return response.json()
}

const USE_KIND = { rotation: 'good', ejected: 'bad', reserve: 'warn', out: 'warn' }
const USE_TEXT = { rotation: 'in rotation', ejected: 'ejected', reserve: 'in reserve', out: 'out' }

function instanceTable(service) {
  const table = document.createElement('table')
  const head = row()
  for (const name of ['instance', 'address', 'version', 'state', 'use', 'in flight', 'requests', 'checks']) {
    const th = document.createElement('th')
    th.textContent = name
    head.append(th)
  }
  table.append(head)
  for (const one of service.instances) {
    table.append(
      row(
        one.id,
        `${one.scheme}://${one.address}`,
        one.version,
        one.state,
        cell(one.reason ? `${USE_TEXT[one.use]}: ${one.reason}` : USE_TEXT[one.use], USE_KIND[one.use]),
        one.inFlight,
        one.requests,
        one.checks.map((check) => `${check.id}: ${check.state}`).join('\n'),
      ),
    )
  }
  return table
}

function serviceBlock(service, isOpen) {
  const details = document.createElement('details')
  details.dataset.name = service.name
  details.open = isOpen
  const summary = document.createElement('summary')
  const name = document.createElement('b')
  name.textContent = service.name
  const state = document.createElement('span')
  const isWell = service.available > 0 && service.source !== 'stale' && service.source !== 'held'
  state.className = isWell ? 'good' : service.available > 0 ? 'warn' : 'bad'
  state.textContent =
    ` ${service.available} of ${service.instances.length} in rotation, ${service.inFlight} in flight, ` +
    `${service.source}${service.reason ? `: ${service.reason}` : ''}`
  summary.append(name, state)
  details.append(summary, instanceTable(service))
  return details
}

function showServices(services) {
  const before = [...document.querySelectorAll('#service-list details')]
  const open = new Set(before.filter((one) => one.open).map((one) => one.dataset.name))
  const isFirst = before.length === 0
  $('service-list').replaceChildren(
    ...services.map((one) => serviceBlock(one, isFirst ? services.length < 12 : open.has(one.name))),
  )
}

function showTopology({ gateway, registries, services }) {
  const table =
    gateway.table === undefined ? 'no table yet' : `table ${gateway.table}, ${gateway.routes} routes`
  $('state').textContent =
    `${gateway.version} · ${gateway.state} · ${table} · up for ${Math.round((Date.now() - gateway.startedAt) / 1000)} s`
  $('state').className = gateway.state === 'ready' ? 'good' : 'warn'
  $('registry-rows').replaceChildren(
    ...registries.map(({ name, type, status }) =>
      row(
        name,
        type,
        cell(status.state, status.state === 'live' ? 'good' : 'bad'),
        ago(status.lastSuccess),
        status.state === 'live' ? '' : status.lastError?.message,
      ),
    ),
  )
  showServices(services)
}

function showRoutes(routes) {
  $('route-rows').replaceChildren(
    ...routes.map((one) =>
      row(
        one.name,
        one.hosts.join('\n') || 'any',
        `${one.path.kind} ${one.path.value}`,
        [one.methods.join(' ') || 'any', ...one.conditions].join('\n'),
        one.action === 'proxy' ? one.target : `${one.action} ${one.target}`,
        one.filters.join(', '),
        one.source,
      ),
    ),
  )
}

function showTables({ versions }) {
  $('table-rows').replaceChildren(
    ...versions.map((one) =>
      row(
        cell(one.isCurrent ? `${one.version} (in force)` : one.version, one.isCurrent ? 'good' : ''),
        new Date(one.createdAt).toLocaleTimeString(),
        one.cause,
        one.routes,
        one.instances,
        one.changes.slice(0, 12).join('\n') +
          (one.changes.length > 12 ? `\n… ${one.changes.length - 12} more` : ''),
      ),
    ),
  )
}

function showAlerts(readiness, tables, topology) {
  const texts = [...readiness.reasons, ...readiness.warnings, ...tables.warnings, ...topology.problems]
  $('alerts').replaceChildren(
    ...texts.map((text) => {
      const p = document.createElement('p')
      p.textContent = text
      return p
    }),
  )
}

let shownTable
async function refresh() {
  try {
    const [topology, tables, readiness] = await Promise.all([
      api('/api/topology'),
      api('/api/tables'),
      api('/health/ready'),
    ])
    $('login').hidden = true
    showTopology(topology)
    showAlerts(readiness, tables, topology)
    if (tables.current !== shownTable) {
      showTables(tables)
      showRoutes((await api('/api/routes')).routes)
      shownTable = tables.current
    }
  } catch (error) {
    $('state').textContent = error.message
    $('state').className = 'bad'
  }
}

$('login').addEventListener('submit', (event) => {
  event.preventDefault()
  sessionStorage.setItem('token', $('token').value)
  void refresh()
})

function explanationText(answer) {
  if (answer.code?.startsWith('GW_ADMIN')) return answer.detail
  const lines = [
    answer.result === 'route'
      ? `route ${answer.route} (${answer.source}) → ${answer.service ?? answer.action} ${answer.upstreamTarget ?? ''}`
      : `refused: ${answer.code} ${answer.detail ?? ''}`,
    ...answer.steps,
    ...answer.candidates.map((one) => `${one.result}: ${one.route} (${one.reason})`),
    ...(answer.instances ?? []).map((one) => `${one.eligible ? '✓' : '✗'} ${one.address} ${one.reason}`),
  ]
  return lines.join('\n')
}

$('explain-form').addEventListener('submit', async (event) => {
  event.preventDefault()
  try {
    const answer = await api('/api/explain', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ method: $('explain-method').value, url: $('explain-url').value }),
    })
    $('explanation').textContent = explanationText(answer)
  } catch (error) {
    $('explanation').textContent = error.message
  }
})

void refresh()
setInterval(refresh, REFRESH_MS)

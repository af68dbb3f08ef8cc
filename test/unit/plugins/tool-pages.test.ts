import { expect, test } from 'vitest'
import { leadLocation, leadPage, leadScript, toolPolicy } from '../../../plugins/tool-pages.ts'

const CONSUL = {
  base: '/tools/consul',
  path: '',
  origin: 'http://127.0.0.1:8500',
  roots: ['/ui/', '/v1/'],
}
const GRAFANA = { base: '/tools/grafana', path: '/grafana', origin: 'https://g.example:3000', roots: [] }
const PROMETHEUS = {
  base: '/tools/prometheus',
  path: '/tools/prometheus',
  origin: 'http://p.example:9090',
  roots: [],
}

test.each([
  [CONSUL, '/ui/', '/tools/consul/ui/'],
  [CONSUL, '/', '/tools/consul/'],
  [CONSUL, '/ui/dc1/services?a=/ui/#x', '/tools/consul/ui/dc1/services?a=/ui/#x'],
  [CONSUL, 'http://127.0.0.1:8500/ui/', '/tools/consul/ui/'],
  [CONSUL, '//127.0.0.1:8500/ui/', '/tools/consul/ui/'],
  [CONSUL, 'dc1/services', 'dc1/services'],
  [CONSUL, '?page=2', '?page=2'],
  [CONSUL, 'https://www.consul.io/docs', 'https://www.consul.io/docs'],
  [CONSUL, 'http://127.0.0.1:8501/ui/', 'http://127.0.0.1:8501/ui/'],
  [CONSUL, '/tools/consul/ui/', '/tools/consul/ui/'],
  [GRAFANA, '/grafana/login', '/tools/grafana/login'],
  [GRAFANA, '/grafana', '/tools/grafana/'],
  [GRAFANA, 'https://g.example:3000/grafana/d/1?x=1', '/tools/grafana/d/1?x=1'],
  // Elsewhere on the same server, where nothing is served from here.
  [GRAFANA, '/login', '/tools/grafana/'],
  [GRAFANA, '/grafana-admin/', '/tools/grafana/'],
  [PROMETHEUS, '/tools/prometheus/graph', '/tools/prometheus/graph'],
  [PROMETHEUS, '/tools/prometheus', '/tools/prometheus/'],
])('a redirect of %o to %s leads to %s', (place, from, to) => {
  expect(leadLocation(from, place)).toBe(to)
})

test('a page is led to its paths, and gets the script before its own', () => {
  const page = `<html><head lang="en"><link href="/ui/a.css"><script>root = '/ui/'; a="/other/ui/"</script></head><a href=/ui/x>`
  expect(leadPage(page, CONSUL)).toBe(
    `<html><head lang="en"><script src="/tools/consul/-/lead.js"></script><link href="/tools/consul/ui/a.css">` +
      `<script>root = '/tools/consul/ui/'; a="/other/ui/"</script></head><a href=/tools/consul/ui/x>`,
  )
  expect(leadPage('<header>', CONSUL)).toBe('<script src="/tools/consul/-/lead.js"></script><header>')
})

test('the script leads only the paths of the tool, however they are asked for', () => {
  const asked: unknown[] = []
  class Request {
    readonly url: string
    constructor(url: string) {
      this.url = url
    }
  }
  const scope = {
    document: { baseURI: 'http://gw:8081/tools/consul/ui/' },
    location: { origin: 'http://gw:8081' },
    XMLHttpRequest: class {
      open(method: string, url: string, ...rest: unknown[]) {
        asked.push([method, url, ...rest])
      }
    },
    window: {
      fetch: (input: unknown, init?: unknown) =>
        asked.push(input instanceof Request ? input.url : input, init),
      EventSource: class {
        constructor(url: string) {
          asked.push(url)
        }
      },
    },
    Request,
  }
  new Function(...Object.keys(scope), leadScript(CONSUL))(...Object.values(scope))
  const take = (ask: () => unknown) => {
    asked.length = 0
    ask()
    return asked[0]
  }
  const xhr = new scope.XMLHttpRequest()
  expect(take(() => xhr.open('GET', '/v1/kv/a?b=1', true))).toEqual([
    'GET',
    '/tools/consul/v1/kv/a?b=1',
    true,
  ])
  expect(take(() => xhr.open('GET', 'http://gw:8081/v1/kv/'))).toEqual(['GET', '/tools/consul/v1/kv/'])
  expect(take(() => xhr.open('GET', '/api/session'))).toEqual(['GET', '/api/session'])
  expect(take(() => xhr.open('GET', 'https://else.example/v1/'))).toEqual(['GET', 'https://else.example/v1/'])
  expect(take(() => scope.window.fetch('/v1/x'))).toBe('/tools/consul/v1/x')
  expect(take(() => scope.window.fetch(new Request('http://gw:8081/v1/x')))).toBe('/tools/consul/v1/x')
  expect(take(() => new scope.window.EventSource('/v1/agent/monitor'))).toBe('/tools/consul/v1/agent/monitor')
})

test('the policy of a page names only its own place, whatever the Host says', () => {
  expect(toolPolicy('gw.example:8081', '/tools/x')).toContain('connect-src gw.example:8081/tools/x/;')
  expect(toolPolicy('[::1]:8081', '/tools/x')).toContain('connect-src [::1]:8081/tools/x/;')
  for (const host of ['', '*', 'a; script-src *', "a 'self'", 'a/b', 'a,b']) {
    expect(toolPolicy(host, '/tools/x')).toContain("connect-src 'none';")
  }
})

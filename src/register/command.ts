import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { errorText, GatewayError } from '../core/errors.ts'
import { probeOf } from './probe.ts'
import type { RegisterOptions } from './register.ts'
import { durationMs, givenPort, type RegistrarOptions, registryTarget, serviceName } from './settings.ts'
import { type SuperviseOptions, supervise } from './supervise.ts'

const HELP = `Usage: sluice-register --service NAME --port PORT [options] -- COMMAND [ARGUMENT ...]

Runs COMMAND, registers it as an instance of a service with the local Consul agent, or with etcd or ZooKeeper, as soon as
its port is open, keeps it alive there, and on SIGTERM drains it: marks it as draining, lets it serve on while gateways hear of it,
ends it gently, deregisters it, exits with 0. May be the first process of a container.

  --service NAME      name of the service             SLUICE_REGISTER_SERVICE
  --port PORT         where COMMAND listens           SLUICE_REGISTER_PORT, PORT0
  --address ADDRESS   where clients reach it          SLUICE_REGISTER_ADDRESS, HOST_IP, HOST (Marathon)
  --agent URL         the local Consul agent          CONSUL_HTTP_ADDR, else http://$HOST_IP:8500
  --registry TYPE     consul (default), etcd,         SLUICE_REGISTER_REGISTRY
                      zookeeper
  --endpoint URL      member of etcd, or host:port    ETCDCTL_ENDPOINTS, else http://127.0.0.1:2379;
                      of ZooKeeper; repeatable        SLUICE_REGISTER_SERVERS, else 127.0.0.1:2181
  --prefix PREFIX     of the keys in etcd, or node    SLUICE_REGISTER_PREFIX, else /sluice; /services
                      above services in ZooKeeper
  --id ID             default: unique for each start
  --release VERSION   version of the service          SLUICE_REGISTER_VERSION
  --zone ZONE                                         SLUICE_REGISTER_ZONE
  --scheme SCHEME     http, https or h2c
  --weight N          share of traffic, 1 to 65535    SLUICE_REGISTER_WEIGHT
  --tag TAG           repeatable                      SLUICE_REGISTER_TAGS (a,b)
  --meta KEY=VALUE    repeatable                      SLUICE_REGISTER_META (a=1,b=2)
  --route ROUTE       repeatable: 'shop.example.com/cart strip=/cart'

  --health PROBE      tcp (default), /path, http://..., or 'command: ...' (exit 0 passing, 1 warning)
  --probe-host HOST   where the probe and the wait for the port look; default 127.0.0.1
  --ttl TIME          without a beat for so long it is critical; default 15s     SLUICE_REGISTER_TTL
  --propagation TIME  serving on after the mark; default 3s               SLUICE_REGISTER_PROPAGATION
  --budget TIME       from SIGTERM to the exit; default 8s (docker stop kills after 10)
                                                                               SLUICE_REGISTER_BUDGET
  --stop-signal NAME  ends COMMAND; default SIGTERM
  --stop-group        send it to all processes that COMMAND started, not to it alone

The token comes from CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE (read again for each call); for etcd user and password
from ETCDCTL_USER and ETCDCTL_PASSWORD or SLUICE_REGISTER_PASSWORD_FILE, PEM files from ETCDCTL_CACERT, _CERT and _KEY; for
ZooKeeper user:password from SLUICE_REGISTER_AUTH.
SLUICE_REGISTER_ENABLED=false runs COMMAND without registering it.

Exit: 0 drained, 137 COMMAND had to be killed, 2 misuse, else COMMAND's own exit code.`

const text = { type: 'string' } as const
const many = { type: 'string', multiple: true } as const
const OPTIONS = {
  service: text,
  port: text,
  address: text,
  agent: text,
  registry: text,
  endpoint: many,
  prefix: text,
  id: text,
  release: text,
  zone: text,
  scheme: text,
  weight: text,
  tag: many,
  meta: many,
  route: many,
  health: text,
  'probe-host': text,
  ttl: text,
  propagation: text,
  budget: text,
  'stop-signal': text,
  'stop-group': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

const log = (line: string) => process.stderr.write(`sluice-register: ${line}\n`)

function misuse(problem: string): never {
  throw new GatewayError('GW_REGISTER_OPTIONS', problem)
}

function pairs(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((one) => {
      const equals = one.indexOf('=')
      if (equals < 1) misuse(`--meta: "${one}" is no KEY=VALUE`)
      return [one.slice(0, equals), one.slice(equals + 1)]
    }),
  )
}

/** The command line as options; `help` when that is what was asked for. Throws GW_REGISTER_OPTIONS. */
export function parseCommand(argv: readonly string[], env: NodeJS.ProcessEnv): SuperviseOptions | 'help' {
  const end = argv.indexOf('--')
  const { values } = parseOptions(end === -1 ? argv : argv.slice(0, end))
  if (values.help === true) return 'help'
  const [command, ...args] = end === -1 ? [] : argv.slice(end + 1)
  if (command === undefined)
    misuse('no command: write it behind --, as in sluice-register ... -- node app.js')
  const { scheme } = values
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https' && scheme !== 'h2c') {
    misuse(`--scheme: "${scheme}" is none of http, https, h2c`)
  }
  const stopSignal = values['stop-signal'] ?? 'SIGTERM'
  if (!(stopSignal in constants.signals)) misuse(`--stop-signal: "${stopSignal}" is no signal`)
  const port = givenPort({ port: values.port === undefined ? undefined : Number(values.port) }, env)
  if (port === undefined) misuse('--port is missing')
  const host = values['probe-host'] ?? '127.0.0.1'
  const registration: RegisterOptions = {
    service: values.service,
    port,
    address: values.address,
    agent: values.agent,
    registry: registryOf(values, env),
    id: values.id,
    version: values.release,
    zone: values.zone,
    scheme,
    weight: values.weight === undefined ? undefined : Number(values.weight),
    tags: values.tag,
    meta: values.meta === undefined ? undefined : pairs(values.meta),
    routes: values.route,
    ttl: values.ttl,
    health: probeOf(values.health ?? 'tcp', host, port),
    propagation: values.propagation,
    budget: durationMs('--budget', values.budget ?? env['SLUICE_REGISTER_BUDGET'] ?? '8s'),
    log: { info: log, warn: log },
  }
  // Mistakes show before the command runs.
  serviceName(registration, env)
  registryTarget(registration, env)
  return {
    command,
    args,
    host,
    port,
    stopSignal: stopSignal as NodeJS.Signals,
    isGroupStopped: values['stop-group'] === true,
    registration,
    log,
  }
}

function registryOf(
  { registry, endpoint, prefix }: { registry?: string; endpoint?: string[]; prefix?: string },
  env: NodeJS.ProcessEnv,
): RegistrarOptions['registry'] {
  const type = registry ?? env['SLUICE_REGISTER_REGISTRY'] ?? 'consul'
  if (type === 'etcd') return { type, endpoints: endpoint, prefix }
  if (type === 'zookeeper') return { type, servers: endpoint, base: prefix }
  if (endpoint !== undefined || prefix !== undefined)
    misuse('--endpoint and --prefix are for --registry etcd and zookeeper')
  if (type === 'consul' || type === '') return 'consul'
  return misuse(`--registry: "${type}" is none of consul, etcd, zookeeper`)
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false })
  } catch (thrown) {
    misuse(errorText(thrown))
  }
}

/** `sluice-register`: resolves to the exit code. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  try {
    const options = parseCommand(argv, process.env)
    if (options === 'help') {
      process.stdout.write(`${HELP}\n`)
      return 0
    }
    return await supervise(options)
  } catch (thrown) {
    if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_REGISTER_OPTIONS') throw thrown
    log(`${thrown.message} (--help shows what there is)`)
    return 2
  }
}

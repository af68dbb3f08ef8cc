import { GatewayError } from '../src/core/errors.ts'
import type { AdminRoutes, CanaryActRequest } from './context.ts'

interface ActBody {
  readonly action: 'promote' | 'pause' | 'resume' | 'abort' | 'set'
  readonly percent?: number
  readonly force?: boolean
  readonly reason?: string
  readonly by?: string
}

const text = (maxLength: number) => ({ type: 'string', maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]*$' })

const ACT_BODY = {
  type: 'object',
  required: ['action'],
  additionalProperties: false,
  properties: {
    action: { type: 'string', enum: ['promote', 'pause', 'resume', 'abort', 'set'] },
    percent: { type: 'number', minimum: 0, maximum: 100, description: 'For set; two decimals' },
    force: { type: 'boolean', default: false, description: 'For set: beyond the next step' },
    reason: { ...text(200), default: '', description: 'For the history' },
    by: { ...text(64), description: 'Who asks, as they say; the address is noted with it' },
  },
}

function actionOf({ action, percent, force = false }: ActBody): CanaryActRequest['action'] {
  if (action !== 'set') return { kind: action }
  if (percent === undefined) throw new GatewayError('GW_ADMIN_BAD_REQUEST', 'set needs percent')
  const share = Math.round(percent * 100)
  if (Math.abs(share - percent * 100) > 1e-6)
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', 'percent has at most two decimals')
  return { kind: 'set', percent: share, force }
}

/** Lanes and canary rules. */
export const canaryRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/canaries',
    {
      schema: {
        tags: ['canaries'],
        summary: 'Lanes and canary rules of the table in force, with their sides and where releases stand',
        description: 'decides: of all gateways this one decides on releases.',
      },
    },
    async () => ({ canaries: app.gateway.canaries(), decides: app.gateway.decidesCanaries() }),
  )

  app.get<{ Params: { name: string } }>(
    '/api/canaries/:name',
    { schema: { tags: ['canaries'], summary: 'One lane or canary rule' } },
    async ({ params }) => {
      const canary = app.gateway.canaries().find(({ name }) => name === params.name)
      if (canary === undefined)
        throw new GatewayError('GW_ADMIN_NOT_FOUND', `no canary rule "${params.name}"`)
      return canary
    },
  )

  app.post<{ Params: { rule: string }; Body: ActBody }>(
    '/api/canary/:rule',
    {
      schema: {
        tags: ['canaries'],
        summary: 'Promote, pause, resume or abort a release, or set its share',
        description:
          'Any gateway may be asked; all follow. Abort, and smaller shares, are always possible; a larger one only up to ' +
          'the next step, unless forced. 404 no such release, 409 when its state does not allow it.',
        params: {
          type: 'object',
          required: ['rule'],
          properties: { rule: { type: 'string', minLength: 1 } },
        },
        body: ACT_BODY,
      },
    },
    async ({ params, body, ip }) =>
      app.gateway.actOnCanary({
        name: params.rule,
        action: actionOf(body),
        by: body.by === undefined || body.by === '' ? ip : `${body.by} (${ip})`,
        reason: body.reason || 'by hand',
      }),
  )
}

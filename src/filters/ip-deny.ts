import { z } from 'zod'
import { defineFilter, type FilterReply } from './filter.ts'
import { createNetworkTest, networkOption } from './networks.ts'

const REFUSAL: FilterReply = {
  status: 403,
  code: 'GW_AUTH_IP',
  reason: 'the address is in one of the networks',
}

/** Refuses requests from the listed networks with 403 GW_AUTH_IP. */
export const ipDeny = defineFilter({
  name: 'ip-deny',
  summary: 'Clients of the listed networks get 403.',
  options: z.strictObject({
    networks: z
      .array(networkOption())
      .min(1)
      .describe('Networks that are refused: CIDR or single addresses.'),
  }),
  create({ networks }) {
    const isListed = createNetworkTest(networks)
    return {
      inbound: (ctx) => (isListed(ctx.clientIp) ? REFUSAL : undefined),
      replay: () => (request) => isListed(request.clientIp),
    }
  },
})

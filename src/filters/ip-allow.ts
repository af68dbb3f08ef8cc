import { z } from 'zod'
import { defineFilter, type FilterReply } from './filter.ts'
import { createNetworkTest, networkOption } from './networks.ts'

const REFUSAL: FilterReply = {
  status: 403,
  code: 'GW_AUTH_IP',
  reason: 'the address is in none of the networks',
}

/** Lets a request pass only from the listed networks; others get 403 GW_AUTH_IP. */
export const ipAllow = defineFilter({
  name: 'ip-allow',
  summary: 'Only clients of the listed networks pass; others get 403.',
  options: z.strictObject({
    networks: z.array(networkOption()).min(1).describe('Networks that may pass: CIDR or single addresses.'),
  }),
  create({ networks }) {
    const isListed = createNetworkTest(networks)
    return {
      inbound: (ctx) => (isListed(ctx.clientIp) ? undefined : REFUSAL),
      replay: () => (request) => !isListed(request.clientIp),
    }
  },
})

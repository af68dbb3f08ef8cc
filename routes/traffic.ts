import type { AdminRoutes } from './context.ts'

/** How much goes where. */
export const trafficRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/traffic',
    {
      schema: {
        tags: ['traffic'],
        summary: 'Requests, errors and latencies of the last minutes by route, service and instance',
        description:
          'Rates and latencies: the last 10 to 15 s; series: 60 whole buckets of 5 s. errorRatio: answers of 5xx and what ' +
          'broke off. An instance has its tries, also those that another one made good. At most a second old.',
      },
    },
    async () => app.gateway.traffic(),
  )
}

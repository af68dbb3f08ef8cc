import { systemClock } from '../../src/core/duration.ts'
import { GatewayError } from '../../src/core/errors.ts'
import type { FilterResources } from '../../src/filters/filter.ts'
import type { FilterEnvironment } from '../../src/filters/instances.ts'
import { NO_METRICS } from '../../src/filters/metrics.ts'

/** A static configuration that offers nothing. */
export const NO_RESOURCES: FilterResources = {
  store(name) {
    throw new GatewayError('GW_CONFIG_INVALID', `no store "${name}" in stores; there are none`)
  },
  identityProvider(name) {
    const text = `no identity provider "${name}" in identityProviders; there are none`
    throw new GatewayError('GW_CONFIG_INVALID', text)
  },
  waf() {
    throw new GatewayError('GW_CONFIG_INVALID', 'there is no WAF engine here')
  },
}

/** What filters get in tests; real time, nothing counted, files not watched. */
export function aFilterEnvironment(own: Partial<FilterEnvironment> = {}): FilterEnvironment {
  return {
    clock: systemClock,
    random: Math.random,
    log: { info: () => {}, warn: () => {} },
    event: () => {},
    metrics: NO_METRICS,
    resources: NO_RESOURCES,
    isCheck: false,
    watchFiles: async () => {},
    ...own,
  }
}

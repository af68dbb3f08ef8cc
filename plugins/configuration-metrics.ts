import { Gauge, type Registry } from 'prom-client'
import type { ConfigurationView } from '../src/core/stored-files.ts'

/** What a scrape tells of configuration from a store; nothing where there is none. */
export function addConfigurationMetrics(registry: Registry, view: () => ConfigurationView | undefined): void {
  const gauge = (name: string, help: string, read: (seen: ConfigurationView) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames: ['store'],
      registers: [registry],
      collect() {
        this.reset()
        const seen = view()
        const value = seen === undefined ? undefined : read(seen)
        if (seen !== undefined && value !== undefined) this.labels(seen.store).set(value)
      },
    })
  gauge(
    'sluice_config_revision',
    'Revision of the configuration store that is in force.',
    ({ revision }) => revision?.revision,
  )
  gauge(
    'sluice_config_store_live',
    '1 while what is in force is what the configuration store has.',
    ({ state }) => (state === 'live' ? 1 : 0),
  )
}

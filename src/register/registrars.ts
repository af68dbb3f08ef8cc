import { ConsulRegistrar } from './consul-registrar.ts'
import type { Registrar } from './registrar.ts'
import type { Settings } from './settings.ts'

/** The registrar for where the settings say. Throws GW_REGISTER_OPTIONS for PEM files that cannot be read. */
export function createRegistrar(settings: Settings): Registrar {
  const { registry } = settings
  switch (registry.type) {
    case 'consul':
      return new ConsulRegistrar(settings, registry)
  }
}

import { GatewayError } from '../core/errors.ts'
import { ConsulRegistrar } from './consul-registrar.ts'
import { EtcdRegistrar } from './etcd-registrar.ts'
import type { Registrar } from './registrar.ts'
import type { Settings } from './settings.ts'

/** The registrar for where the settings say. Throws GW_REGISTER_OPTIONS for PEM files that cannot be read. */
export function createRegistrar(settings: Settings): Registrar {
  const { registry } = settings
  try {
    switch (registry.type) {
      case 'consul':
        return new ConsulRegistrar(settings, registry)
      case 'etcd':
        return new EtcdRegistrar(settings, registry)
    }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_REGISTRY_FILE') throw thrown
    throw new GatewayError('GW_REGISTER_OPTIONS', thrown.message, { cause: thrown.cause })
  }
}

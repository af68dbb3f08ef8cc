import { GatewayError } from '../core/errors.ts'
import { ConsulRegistrar } from './consul-registrar.ts'
import { EtcdRegistrar } from './etcd-registrar.ts'
import type { Registrar } from './registrar.ts'
import type { Settings } from './settings.ts'
import { ZooKeeperRegistrar } from './zookeeper-registrar.ts'

/**
 * The registrar for where the settings say. `onForgotten`: it has just learned that the registry does not know the
 * instance any more; the next report says so, too. Throws GW_REGISTER_OPTIONS for PEM files that cannot be read.
 */
export function createRegistrar(settings: Settings, onForgotten?: () => void): Registrar {
  const { registry } = settings
  try {
    switch (registry.type) {
      case 'consul':
        return new ConsulRegistrar(settings, registry)
      case 'etcd':
        return new EtcdRegistrar(settings, registry)
      case 'zookeeper':
        return new ZooKeeperRegistrar(settings, registry, onForgotten)
    }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_REGISTRY_FILE') throw thrown
    throw new GatewayError('GW_REGISTER_OPTIONS', thrown.message, { cause: thrown.cause })
  }
}

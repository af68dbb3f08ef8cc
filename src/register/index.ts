export type { DrainReport } from './departure.ts'
export type { HealthFunction, HealthResult, HealthState } from './health.ts'
export type { LeaseState } from './lease.ts'
export {
  type RegisterLog,
  type RegisterOptions,
  type Registration,
  type RegistrationEvents,
  register,
} from './register.ts'
export type { ServedBy } from './server-drain.ts'
export type { EtcdRegistryOptions } from './settings.ts'
export type { ZooKeeperRegistryOptions } from './zookeeper-target.ts'

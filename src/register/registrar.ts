import type { HealthReport } from './health.ts'

/**
 * How one registry is spoken to about one instance. The lease decides when; each registry has one of these. All calls
 * throw GW_REGISTRY_UNREACHABLE, _TIMEOUT, _ACL or _ANSWER, and none takes longer than 2 s or the limit given.
 */
export interface Registrar {
  /** For logs; holds no secret. */
  readonly url: string
  /**
   * Says that the instance is there, anew where the registry forgot it or has an older word of it, without a drain mark
   * from before. Nobody sends it anything before the first report.
   */
  register(): Promise<void>
  /** Says how the instance is, and that it lives. The answer is in words why the registry does not know it, else undefined. */
  report(report: HealthReport): Promise<string | undefined>
  /** Marks it as draining: gateways send nothing new, and it goes without being missed. Good, too, where it is unknown. */
  mark(reason: string): Promise<void>
  /** Takes it out. Good, too, where it is unknown. */
  remove(limitMs: number): Promise<void>
  /**
   * Takes out what a crashed process left behind: another id at our address and port would get requests that are meant
   * for us, and count us twice. A right to list that is missing is no obstacle.
   */
  clearLeftovers(): Promise<void>
  /** Ends connections and timers of its own. */
  close(): void
}

/** One change through the admin API, or the try of one. */
export interface AuditEntry {
  /** ms since the epoch. */
  readonly at: number
  /** `by` of the request, the name of the sign-in, the subject of a certificate, else which token. */
  readonly who: string
  readonly address: string
  /** `drain`, `canary promote`, `rollback`, `reload` … */
  readonly action: string
  /** What it was done to: an instance, a rule, a table. Empty = the gateway. */
  readonly target: string
  /** In words; empty = nothing to add. */
  readonly detail: string
  /** `done`, `rejected` (a configuration), `refused` (not allowed to), `failed`. */
  readonly outcome: 'done' | 'rejected' | 'refused' | 'failed'
  /** What changed in the table, as in `GET /api/tables`: of reloads and rollbacks. */
  readonly diff?: readonly string[]
}

/** What endpoints that want to say more than their address does leave for the audit. */
export interface AuditNote {
  readonly action?: string
  readonly target?: string
  readonly detail?: string
}

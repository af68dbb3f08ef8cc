/** A mistake that is valid: the configuration works, but hardly as meant. */
export interface LintFinding {
  readonly code:
    | 'shadowed-route'
    | 'ambiguous-routes'
    | 'unknown-service'
    | 'no-instances'
    | 'canary-overlap'
    | 'canary-same-instances'
    | 'canary-unknown-route'
    | 'canary-unknown-service'
    | 'canary-empty'
  /** Names: the route (or canary rule) that suffers first. */
  readonly routes: readonly string[]
  readonly sources: readonly string[]
  readonly message: string
  /** What to do, where it is not the usual. */
  readonly fix?: string
}

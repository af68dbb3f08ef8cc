/**
 * Whose fault: the bounded reason of how a request ended. The same token stands in the access log,
 * in metrics and in events; a new token needs a line in docs/errors.md.
 */
export const OUTCOMES = [
  'ok',
  'no_route',
  'bad_request',
  'method_not_allowed',
  'filter_refused',
  'filter_error',
  'rate_limited',
  'redirect',
  'fixed_response',
  'no_service',
  'no_instance',
  'overflow',
  'breaker_open',
  'connect_failed',
  'connect_timeout',
  'tls_failed',
  'reset',
  'upstream_protocol',
  'header_timeout',
  'idle_timeout',
  'deadline',
  'body_too_large',
  'client_gone',
  'client_timeout',
  'draining',
  'overload',
  'internal',
] as const

/** How a request ended. `ok` = the upstream's own answer, whatever its status, went to the client in full. */
export type Outcome = (typeof OUTCOMES)[number]

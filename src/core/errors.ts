import type { Outcome } from './outcome.ts'

interface CatalogueEntry {
  /** HTTP status of the answer; 0 = never sent to a client (configuration, registry, command line). */
  readonly status: number
  /** Short and fixed: a client may show it; it never holds an address, a path of ours or a registry's name. */
  readonly title: string
  readonly outcome?: Outcome
}

/**
 * Every error of Sluice, once. `GW_<AREA>_<WHAT>`. docs/errors.md explains each; a test holds the two equal.
 * Answers to clients are `application/problem+json` (RFC 9457) made from this catalogue by `problemBody`.
 */
export const ERRORS = {
  GW_CONFIG_INVALID: { status: 0, title: 'The configuration is not valid' },
  GW_CONFIG_UNREADABLE: { status: 0, title: 'A configuration file cannot be read' },
  GW_CONFIG_SECRET: { status: 0, title: 'An ENV or FILE reference cannot be resolved' },
  GW_CONFIG_GUARDED: { status: 0, title: 'The change is larger than guard.maxChangedPercent allows' },
  GW_LISTEN_FAILED: { status: 0, title: 'An address cannot be listened on' },
  GW_CLI_MISUSE: { status: 0, title: 'The command was called wrongly' },
  GW_ADMIN_UNREACHABLE: { status: 0, title: 'The gateway cannot be reached' },
  GW_ROLL_FAILED: { status: 0, title: 'The roll could not be carried out' },
  GW_INTERNAL_STATE: { status: 0, title: 'The gateway is in a state that should not exist' },

  GW_ROUTE_NOT_FOUND: { status: 404, title: 'No route for this request', outcome: 'no_route' },
  GW_ROUTE_METHOD: { status: 405, title: 'This method is not allowed here', outcome: 'method_not_allowed' },
  GW_ROUTE_METHOD_REFUSED: {
    status: 405,
    title: 'The gateway does not serve this method',
    outcome: 'method_not_allowed',
  },
  GW_ROUTE_BAD_TARGET: { status: 400, title: 'The request target is not valid', outcome: 'bad_request' },
  GW_ROUTE_BAD_HOST: {
    status: 400,
    title: 'The Host of the request is missing or not valid',
    outcome: 'bad_request',
  },
  GW_ROUTE_AMBIGUOUS_PATH: { status: 400, title: 'The path can be read in two ways', outcome: 'bad_request' },

  GW_REQUEST_MALFORMED: { status: 400, title: 'The request is malformed', outcome: 'bad_request' },
  GW_REQUEST_BODY_TOO_LARGE: {
    status: 413,
    title: 'The request body is too large',
    outcome: 'body_too_large',
  },
  GW_REQUEST_URL_TOO_LONG: { status: 414, title: 'The request target is too long', outcome: 'bad_request' },
  GW_REQUEST_HEADERS_TOO_LARGE: {
    status: 431,
    title: 'The request headers are too large',
    outcome: 'bad_request',
  },
  GW_REQUEST_MEDIA_TYPE: {
    status: 415,
    title: 'This media type is not accepted here',
    outcome: 'bad_request',
  },
  GW_REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time', outcome: 'client_timeout' },
  GW_REQUEST_EXPECT: { status: 417, title: 'This expectation cannot be met', outcome: 'bad_request' },

  GW_FILTER_FAILED: { status: 500, title: 'The request could not be checked', outcome: 'filter_error' },
  GW_AUTH_IP: { status: 403, title: 'Your network is not allowed here', outcome: 'filter_refused' },
  GW_RATE_LIMITED: { status: 429, title: 'Too many requests', outcome: 'rate_limited' },
  GW_RATE_QUOTA: { status: 429, title: 'The quota is used up', outcome: 'rate_limited' },
  GW_RATE_KEY: {
    status: 403,
    title: 'The request lacks what it is counted by',
    outcome: 'filter_refused',
  },
  GW_AUTH_MISSING: { status: 401, title: 'Credentials are missing', outcome: 'filter_refused' },
  GW_AUTH_INVALID: { status: 401, title: 'The credentials are not valid', outcome: 'filter_refused' },
  GW_AUTH_EXPIRED: { status: 401, title: 'The credentials have expired', outcome: 'filter_refused' },
  GW_AUTH_AMBIGUOUS: { status: 400, title: 'More than one credential was sent', outcome: 'filter_refused' },
  GW_AUTH_SCOPE: { status: 403, title: 'The token does not allow this', outcome: 'filter_refused' },
  GW_AUTH_FORWARD: { status: 403, title: 'The request is not allowed', outcome: 'filter_refused' },
  GW_AUTH_SIGNATURE: {
    status: 401,
    title: 'The signature of the request is not valid',
    outcome: 'filter_refused',
  },
  GW_AUTH_REPLAYED: { status: 401, title: 'This signature was used before', outcome: 'filter_refused' },
  GW_AUTH_DIGEST: {
    status: 400,
    title: 'The body is not the one that was signed',
    outcome: 'filter_refused',
  },
  GW_AUTH_CERTIFICATE: { status: 403, title: 'A client certificate is needed', outcome: 'filter_refused' },
  GW_AUTH_CERTIFICATE_REFUSED: {
    status: 403,
    title: 'This client certificate is not allowed here',
    outcome: 'filter_refused',
  },
  GW_AUTH_DENIED: { status: 403, title: 'A rule denies this request', outcome: 'filter_refused' },
  GW_AUTH_NOT_ALLOWED: { status: 403, title: 'No rule allows this request', outcome: 'filter_refused' },
  GW_AUTH_BUSY: {
    status: 503,
    title: 'Too many credentials are being checked',
    outcome: 'filter_refused',
  },
  GW_AUTH_UNAVAILABLE: {
    status: 503,
    title: 'Credentials cannot be checked at the moment',
    outcome: 'filter_error',
  },
  GW_CORS_REFUSED: { status: 403, title: 'This origin is not allowed here', outcome: 'filter_refused' },
  GW_RATE_CONCURRENCY: {
    status: 503,
    title: 'Too many requests at a time',
    outcome: 'filter_refused',
  },

  GW_WAF_BLOCKED: { status: 403, title: 'The request was refused', outcome: 'filter_refused' },
  GW_WAF_ANSWER_BLOCKED: { status: 502, title: 'The answer was withheld', outcome: 'filter_refused' },
  GW_WAF_BUSY: { status: 0, title: 'Too many requests wait for the WAF' },
  GW_WAF_UNAVAILABLE: { status: 0, title: 'The WAF engine cannot answer' },
  GW_WAF_LIBRARY: { status: 0, title: 'libmodsecurity or its rules are missing' },

  GW_UPSTREAM_UNKNOWN_SERVICE: { status: 503, title: 'The service is not known yet', outcome: 'no_service' },
  GW_UPSTREAM_NO_INSTANCE: {
    status: 503,
    title: 'No instance of the service is available',
    outcome: 'no_instance',
  },
  GW_UPSTREAM_OVERFLOW: { status: 503, title: 'The service is at its limit', outcome: 'overflow' },
  GW_UPSTREAM_BREAKER_OPEN: {
    status: 503,
    title: 'The service is failing and gets a break',
    outcome: 'breaker_open',
  },
  GW_UPSTREAM_CONNECT: { status: 502, title: 'The service cannot be reached', outcome: 'connect_failed' },
  GW_UPSTREAM_CONNECT_TIMEOUT: {
    status: 504,
    title: 'The service cannot be reached in time',
    outcome: 'connect_timeout',
  },
  GW_UPSTREAM_TLS: { status: 502, title: 'No trusted connection to the service', outcome: 'tls_failed' },
  GW_UPSTREAM_RESET: { status: 502, title: 'The service closed the connection', outcome: 'reset' },
  GW_UPSTREAM_PROTOCOL: {
    status: 502,
    title: 'The service answered with something that is no HTTP',
    outcome: 'upstream_protocol',
  },
  GW_UPSTREAM_TIMEOUT: {
    status: 504,
    title: 'The service did not answer in time',
    outcome: 'header_timeout',
  },
  GW_UPSTREAM_RESPONSE_TOO_LARGE: {
    status: 502,
    title: 'The answer of the service is too large',
    outcome: 'filter_refused',
  },
  GW_UPSTREAM_DEADLINE: { status: 504, title: 'The request took too long', outcome: 'deadline' },

  GW_GATEWAY_DRAINING: { status: 503, title: 'The gateway is shutting down', outcome: 'draining' },
  GW_GATEWAY_OVERLOADED: { status: 503, title: 'The gateway is at its limit', outcome: 'overload' },
  GW_GATEWAY_INTERNAL: { status: 500, title: 'The gateway failed', outcome: 'internal' },

  GW_ADMIN_UNAUTHORIZED: { status: 401, title: 'The admin API needs a token' },
  GW_ADMIN_READ_ONLY: { status: 403, title: 'This token may only read' },
  GW_ADMIN_NOT_FOUND: { status: 404, title: 'No such admin endpoint or object' },
  GW_ADMIN_BAD_REQUEST: { status: 400, title: 'The admin request is not valid' },
  GW_ADMIN_UNPROCESSABLE: { status: 422, title: 'The submitted document is not valid' },
  GW_ADMIN_CONFLICT: { status: 409, title: 'The object is in a state that does not allow this' },

  GW_REGISTRY_UNREACHABLE: { status: 0, title: 'The registry cannot be reached' },
  GW_REGISTRY_TIMEOUT: { status: 0, title: 'The registry did not answer in time' },
  GW_REGISTRY_ACL: { status: 0, title: 'The registry refused the token' },
  GW_REGISTRY_ANSWER: { status: 0, title: 'The registry answered with something unexpected' },
  GW_REGISTRY_FILE: { status: 0, title: 'The registry file is not valid' },

  GW_STORE_UNAVAILABLE: {
    status: 503,
    title: 'The request cannot be checked at the moment',
    outcome: 'filter_error',
  },
  GW_IDENTITY_UNREACHABLE: { status: 0, title: 'The issuer of tokens cannot be reached' },
  GW_IDENTITY_ANSWER: { status: 0, title: 'The issuer of tokens answered with something unexpected' },
  GW_IDENTITY_KEYS: { status: 0, title: 'The keys of the issuer are of no use' },

  GW_REGISTER_OPTIONS: { status: 0, title: 'The registration cannot work as given' },
  GW_REGISTER_HOOK: { status: 0, title: 'A function of the service failed while it drained' },
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof ERRORS

/** Status, title and outcome of a code. */
export function errorEntry(code: ErrorCode): CatalogueEntry {
  return ERRORS[code]
}

/**
 * The one error class. `message` is for our logs and may name addresses; a client sees only the catalogue's
 * title and code.
 */
export class GatewayError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message?: string, options?: ErrorOptions) {
    super(message ?? ERRORS[code].title, options)
    this.name = 'GatewayError'
    this.code = code
  }
}

/** An error for something thrown of unknown type. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new GatewayError('GW_INTERNAL_STATE', String(thrown))
}

/** The text of something thrown, with its causes: `a: b: c`. */
export function errorText(thrown: unknown): string {
  const parts: string[] = []
  for (let error: unknown = thrown; error !== undefined && error !== null && parts.length < 5; ) {
    if (!(error instanceof Error)) {
      parts.push(String(error))
      break
    }
    const text = error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message
    if (parts.at(-1) !== text) parts.push(text)
    error = error.cause
  }
  return parts.join(': ')
}

/**
 * `application/problem+json` (RFC 9457) for a client. `detail` must be fit for strangers. `status`: when the answer has
 * another one than the catalogue.
 */
export function problemBody(
  code: ErrorCode,
  requestId: string,
  detail?: string,
  status: number = errorEntry(code).status,
): string {
  const { title } = errorEntry(code)
  return JSON.stringify({
    type: `urn:sluice:error:${code}`,
    title,
    status,
    code,
    ...(detail === undefined ? {} : { detail }),
    requestId,
  })
}

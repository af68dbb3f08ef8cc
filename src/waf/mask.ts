/** How much of a value a log shows. */
const SHOWN = 80

const SECRET_NAME =
  /pass(?:w(?:or)?d|phrase|code)?$|^pw$|^pwd$|pwd$|secret|token|api[_-]?key|apikey|auth(?:orization)?$|credential|session|cookie|^sid$|jwt|^code$|assertion|signature|^sig$|otp$|^pin$|cvv|cvc|iban|card(?:_?number|_?no)?$|ssn/i

/** Collections whose whole content is secret. */
const SECRET_COLLECTION = /^(?:REQUEST_COOKIES|RESPONSE_COOKIES|AUTH_TYPE|REMOTE_USER)\b/

const SECRET_HEADER = /^(?:REQUEST|RESPONSE)_HEADERS:(?:.*authorization|.*cookie.*)$/i

const PAIR =
  /((?:^|[\s"'{[(?&;,<])["']?[\w.[\]-]*(?:pass|pwd|secret|token|key|auth|credential|session|cookie|jwt|code|assertion|signature|otp|cvv|cvc)[\w.[\]-]*["']?\s*[=:]\s*["']?)[^"'&\s,;<>}]+/gi

const BEARER = /\b(bearer|basic|digest)\s+[\w+/=.~-]+/gi

/** What three base64url parts with dots look like: a signed token, wherever it stands. */
const JWT = /\beyJ[\w-]+(?:\.[\w-]*){1,4}/g

/** 13 to 19 digits, blanks and hyphens between them. */
const DIGITS = /\d(?:[ -]?\d){12,18}/g

function isCardNumber(text: string): boolean {
  let sum = 0
  let isSecond = false
  for (let i = text.length - 1; i >= 0; i--) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) continue
    const part = isSecond ? digit * 2 : digit
    sum += part > 9 ? part - 9 : part
    isSecond = !isSecond
  }
  return sum % 10 === 0
}

/** True when the variable's own name says that its value is nobody's business. */
function isSecretVariable(variable: string): boolean {
  if (SECRET_COLLECTION.test(variable) || SECRET_HEADER.test(variable)) return true
  const colon = variable.indexOf(':')
  if (colon === -1 || variable.startsWith('ARGS_NAMES') || variable.startsWith('TX')) return false
  // `json.user.password`, `user[password]`: the last part counts, but a secret parent makes its children secret.
  return variable
    .slice(colon + 1)
    .split(/[.[\]]+/)
    .some((part) => SECRET_NAME.test(part))
}

/** One line of visible text, cut. */
export function cut(text: string, length = SHOWN): string {
  const line = text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, ' ')
  return line.length > length ? `${line.slice(0, length - 1)}…` : line
}

/** A matched value as a log may show it: secrets masked, at most 80 characters. */
export function maskValue(variable: string, value: string): string {
  if (isSecretVariable(variable)) return '***'
  const masked = value
    .replace(BEARER, '$1 ***')
    .replace(JWT, '***')
    .replace(PAIR, '$1***')
    .replace(DIGITS, (digits) => (isCardNumber(digits) ? '***' : digits))
  return cut(masked)
}

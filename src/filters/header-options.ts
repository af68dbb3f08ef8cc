import { z } from 'zod'

/** A header name as filters take it, in lower case; framing and connection headers are the gateway's own. */
export const headerName = () =>
  z
    .string()
    .transform((value) => value.toLowerCase())
    .refine((value) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(value), { error: 'this is no header name' })
    .refine(
      (value) =>
        !/^(?:connection|content-length|expect|host|keep-alive|te|trailer|transfer-encoding|upgrade)$/.test(
          value,
        ),
      {
        error: 'framing and connection headers cannot be edited',
      },
    )

/** A header value without line breaks (RFC 9110 §5.5). */
export const headerValue = () =>
  z.string().refine((text) => !/[^\t\x20-\x7e\x80-\xff]/.test(text), {
    error: 'a header value is one line of Latin-1 text',
  })

/** A name in a list of header names; any may be named there. */
export const headerToken = () =>
  z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, { error: 'this is no header name' })

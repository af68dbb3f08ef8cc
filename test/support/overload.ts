import type { OverloadView } from '../../src/core/views.ts'

export const NOT_OVERLOADED: OverloadView = {
  level: 0,
  pressure: 0,
  reason: undefined,
  delayMs: 3,
  heap: 0.1,
  inFlight: 0,
  shed: 0,
}

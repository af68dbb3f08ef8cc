import { httpHarness } from '../support/http-harness.ts'
import { registryConformance } from '../support/registry-conformance.ts'

registryConformance('http', httpHarness())
registryConformance('http, held', httpHarness({ isPatient: true }))

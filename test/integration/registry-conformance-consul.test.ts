import { consulHarness } from '../support/consul-harness.ts'
import { registryConformance } from '../support/registry-conformance.ts'

registryConformance('consul', consulHarness)

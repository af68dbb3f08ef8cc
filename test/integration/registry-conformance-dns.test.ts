import { dnsHarness } from '../support/dns-harness.ts'
import { registryConformance } from '../support/registry-conformance.ts'

registryConformance('dns', dnsHarness)

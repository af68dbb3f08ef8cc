import { nacosHarness } from '../support/nacos-harness.ts'
import { registryConformance } from '../support/registry-conformance.ts'

registryConformance('nacos v1, from its documentation', nacosHarness('v1'))
registryConformance('nacos v2, from its documentation', nacosHarness('v2'))

import { fileHarness } from '../support/file-harness.ts'
import { registryConformance } from '../support/registry-conformance.ts'

registryConformance('file', fileHarness)

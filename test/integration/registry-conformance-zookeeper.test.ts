import { registryConformance } from '../support/registry-conformance.ts'
import { curatorHarness, dubboApplicationHarness } from '../support/zookeeper-harness.ts'

registryConformance('zookeeper, curator', curatorHarness)
registryConformance('zookeeper, dubbo-application', dubboApplicationHarness)

import { registryConformance } from '../support/registry-conformance.ts'
import { curatorHarness, dubboApplicationHarness, dubboHarness } from '../support/zookeeper-harness.ts'

registryConformance('zookeeper, curator', curatorHarness)
registryConformance('zookeeper, dubbo-application', dubboApplicationHarness)
registryConformance('zookeeper, dubbo', dubboHarness)

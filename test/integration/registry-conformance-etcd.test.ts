import { etcdHarness, goMicroTestLayout, ownTestLayout, templateTestLayout } from '../support/etcd-harness.ts'
import { registryConformance } from '../support/registry-conformance.ts'

registryConformance('etcd, own layout', etcdHarness(ownTestLayout))
registryConformance('etcd, go-micro', etcdHarness(goMicroTestLayout))
registryConformance('etcd, template', etcdHarness(templateTestLayout))

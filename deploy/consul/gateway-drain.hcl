# In addition to gateway.hcl, where `sluice drain` shall reach all gateways through the registry: the mark is Consul's
# maintenance mode, which takes the right to write the service. Without it a drain holds in the gateway that was asked.
service_prefix "" {
  policy = "write"
}

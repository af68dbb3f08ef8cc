# A gateway (sluice run). Each rule with what stops without it.

# Instances: without it there are no services, and what was known is kept.
service_prefix "" {
  policy = "read"
}

# Their nodes and node checks: without it Consul hides all instances.
node_prefix "" {
  policy = "read"
}

# `self`: the gateway registers itself under this name.
service "sluice" {
  policy = "write"
}

# States of releases (canary.prefix) and what gateways see (fleet.prefix).
key_prefix "sluice/" {
  policy = "write"
}

# Configuration (configuration.prefix): it is read. With the rule above alone a gateway could also write it.
key_prefix "sluice/config/" {
  policy = "read"
}

# The lock of the gateway that decides on releases, and reports that vanish with their gateway.
session_prefix "" {
  policy = "write"
}

# A person: looks at everything in Consul's own page and commands, sets maintenance, acts on releases and fleets, pushes configuration.
service_prefix "" {
  policy = "write"
}

node_prefix "" {
  policy = "read"
}

# Releases, fleets, and configuration (sluice push).
key_prefix "sluice/" {
  policy = "write"
}

session_prefix "" {
  policy = "read"
}

agent_prefix "" {
  policy = "read"
}

operator = "read"

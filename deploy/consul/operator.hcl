# A person: looks at everything in Consul's own page and commands, sets maintenance, acts on releases and fleets.
service_prefix "" {
  policy = "write"
}

node_prefix "" {
  policy = "read"
}

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

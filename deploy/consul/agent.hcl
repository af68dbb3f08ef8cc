# The Consul agent itself, on every host (acl.tokens.agent): registers its node, answers for its services.
node_prefix "" {
  policy = "write"
}

service_prefix "" {
  policy = "read"
}

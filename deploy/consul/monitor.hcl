# A monitor (sluice monitor): it reads, and writes nothing.
service_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

key_prefix "sluice/" {
  policy = "read"
}

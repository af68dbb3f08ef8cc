# An instance that registers itself (sluice/register, sluice-register). One policy a service: put its name for SERVICE.
service "SERVICE" {
  policy = "write"
}

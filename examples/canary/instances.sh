#!/bin/sh
# Starts catalog in versions 1, 2 and 3 and cart in versions 1 and 3; ends them all with Ctrl-C.
cd "$(dirname "$0")/../.." || exit 2
export CONSUL_HTTP_ADDR="${CONSUL_HTTP_ADDR:-http://127.0.0.1:8081}"
trap 'kill $(jobs -p) 2>/dev/null; wait' INT TERM
for version in 1.0.0 1.0.0 2.0.0 3.0.0; do
  npx node examples/quickstart/service.ts --name catalog --version "$version" &
done
for version in 1.0.0 3.0.0; do
  npx node examples/quickstart/service.ts --name cart --version "$version" &
done
wait

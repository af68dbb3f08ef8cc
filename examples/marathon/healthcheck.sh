#!/bin/sh
# healthcheck.sh APP HOST[:PORT]: what the gateways know of an instance, as an exit code for Marathon's COMMAND checks.
#
# Marathon kills a task whose check fails, so the check may fail for one reason only: the monitor knows the instance and
# says that it is unhealthy. A monitor that is down, slow, blind, unauthorised or replaced by a balancer's error page knows
# nothing, and must not turn its own fault into the death of every task: then the exit code is 0, with a warning.
#
# SLUICE_MONITOR        the admin side of the gateways, as a rule through a balancer; default http://127.0.0.1:8081
# SLUICE_MONITOR_TOKEN  where it needs one
set -u
app=${1:?name of the service} instance=${2:?host or host:port of the instance}
monitor=${SLUICE_MONITOR:-http://127.0.0.1:8081}

healthy() { exit 0; }
blind() {
  echo "healthcheck.sh: $app $instance: $*: counts as healthy" >&2
  exit 0
}

# Three seconds: Marathon's own limit (timeoutSeconds) must be longer, or it would count our silence as a failure.
answer=$(curl -sS --max-time 3 -H 'Accept: text/plain' ${SLUICE_MONITOR_TOKEN:+-H "Authorization: Bearer $SLUICE_MONITOR_TOKEN"} \
  -w ' %{http_code}' "$monitor/api/health/$app/$instance" 2>&1) || blind "no answer from $monitor (${answer##*curl: })"
status=${answer##* }
word=$(printf '%s' "${answer% *}" | head -n 1 | tr -d '[:space:]')

case $status:$word in
  200:healthy) healthy ;;
  503:unhealthy)
    echo "healthcheck.sh: $app $instance is unhealthy" >&2
    exit 1
    ;;
  200:unknown) blind 'the monitor does not know' ;;
  *) blind "an answer that says nothing (status $status)" ;;
esac

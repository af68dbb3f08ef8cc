#!/bin/sh
# Runs a command as a registered instance of a service; on SIGTERM it drains: mark, wait, end, deregister, exit 0.
#   SERVICE=catalog PORT=9000 ./start.sh python3 app.py
# VERSION, HOST_IP (the address for others, and the agent's), CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN, TTL, PROPAGATION and
# BUDGET (seconds), APP_PATTERN (what the application's command line contains, when the command is only a launcher).
set -u
: "${SERVICE:?name of the service}" "${PORT:?where the command listens}"
agent=${CONSUL_HTTP_ADDR:-http://${HOST_IP:-127.0.0.1}:8500}
case $agent in *://*) ;; *) agent=http://$agent ;; esac
address=${HOST_IP:-}
ttl=${TTL:-15}
propagation=${PROPAGATION:-3}
budget=${BUDGET:-8}
id=$SERVICE-$(hostname)-$PORT-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
draining=''

say() { echo "start.sh: $id: $*" >&2; }

# No call may take longer than 2 s: an agent without a leader lets some wait for half a minute.
call() {
  path=$1
  shift
  curl -fsS --max-time 2 -o /dev/null -X PUT ${CONSUL_HTTP_TOKEN:+-H "X-Consul-Token: $CONSUL_HTTP_TOKEN"} \
    "$@" "$agent/v1/agent/$path" 2>/dev/null
}

register() {
  call 'service/register?replace-existing-checks=true' --data "{
    \"ID\": \"$id\", \"Name\": \"$SERVICE\", \"Address\": \"$address\", \"Port\": $PORT,
    \"Meta\": { \"version\": \"${VERSION:-0}\" },
    \"Check\": { \"CheckID\": \"service:$id\", \"TTL\": \"${ttl}s\", \"Status\": \"critical\",
                 \"DeregisterCriticalServiceAfter\": \"5m\" } }"
}

# Beats as long as the port answers. A beat that fails may mean that the agent forgot us: register, beat again.
beat() {
  while :; do
    if curl -s --max-time 2 -o /dev/null "http://127.0.0.1:$PORT/"; then
      call "check/pass/service:$id" || { register && call "check/pass/service:$id" && say registered; } || say "no agent at $agent"
    fi
    sleep $((ttl / 3 > 0 ? ttl / 3 : 1)) &
    wait $!
  done
}

# A launcher may have started the application as a child, or replaced itself by it.
application() {
  if [ -n "${APP_PATTERN:-}" ]; then
    pgrep -f -s 0 -- "$APP_PATTERN" | grep -v -x -e "$$" -e "$beater" || echo "$command"
  else
    echo "$command"
  fi
}

drain() {
  [ -z "$draining" ] || return 0
  draining=yes
  kill "$beater" 2>/dev/null
  call "service/maintenance/$id?enable=true&reason=draining" || say 'the registry could not be told'
  say "draining: serving on for $propagation s"
  sleep "$propagation"
  # shellcheck disable=SC2046
  kill -TERM $(application) 2>/dev/null
  left=$((budget - propagation - 1))
  while [ "$left" -gt 0 ] && kill -0 "$command" 2>/dev/null; do
    sleep 1
    left=$((left - 1))
  done
  kill -0 "$command" 2>/dev/null && { say 'did not end in time: killing it'; kill -KILL $(application) "$command" 2>/dev/null; }
  call "service/deregister/$id"
  say 'drained'
  exit 0
}

"$@" &
command=$!
# The trap interrupts `wait`; a sleep in the foreground would hold the signal back.
beat &
beater=$!
trap drain TERM INT
wait "$command"
code=$?
[ -n "$draining" ] && wait
kill "$beater" 2>/dev/null
call "service/deregister/$id"
say "the command ended with $code"
exit "$code"

#!/usr/bin/env bash
# What the integration tests talk to: redis-server, etcd-server, ZooKeeper (with its Java), openssl, chromium, curl, python3,
# Alertmanager, libmodsecurity 3 and the OWASP Core Rule Set from the machine's own Debian release, Consul 1.8.7 from Debian
# bullseye (the last release that has it), unpacked into .cache, not installed, and the oldest Node that the Register library
# runs on.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD/.cache/servers
binary=$root/consul/usr/bin/consul
consul_version=1.8.7
node20=$root/node20/node_modules/node/bin/node
node20_version=20.20.2

fail() {
  printf 'install-servers: %s\n' "$*" >&2
  exit 1
}

has_consul() {
  # The marker is written last: half an unpacking is not taken for a whole one.
  [ -x "$binary" ] && [ "$(cat "$root/consul/.version" 2>/dev/null || true)" = "$consul_version" ]
}

has_modsecurity() { compgen -G '/usr/lib/*/libmodsecurity.so.3' >/dev/null || [ -e /usr/lib/libmodsecurity.so.3 ]; }

has_node20() { [ -x "$node20" ] && [ "$("$node20" --version)" = "v$node20_version" ]; }

install_node20() {
  npm install --prefix "$root/node20" --no-save --no-audit --no-fund "node@$node20_version" \
    >"$root/install.log" 2>&1 || fail "cannot install node $node20_version: $(tail -n 3 "$root/install.log")"
  has_node20 || fail "node $node20_version does not run"
}

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v etcd >/dev/null || missing+=(etcd-server)
[ -r /usr/share/java/zookeeper.jar ] && command -v java >/dev/null || missing+=(zookeeper)
command -v openssl >/dev/null || missing+=(openssl)
command -v chromium >/dev/null || missing+=(chromium)
command -v curl >/dev/null || missing+=(curl)
command -v python3 >/dev/null || missing+=(python3)
command -v pgrep >/dev/null || missing+=(procps)
command -v prometheus-alertmanager >/dev/null || missing+=(prometheus-alertmanager)
has_modsecurity || missing+=(libmodsecurity3)
compgen -G '/usr/share/modsecurity-crs/rules/*.conf' >/dev/null || missing+=(modsecurity-crs)
[ ${#missing[@]} -eq 0 ] && has_consul && has_node20 && exit 0
command -v apt-get >/dev/null || fail 'needs apt-get (Debian or a relative of it)'

install_missing() {
  local sudo='' policy=/usr/sbin/policy-rc.d log=$root/install.log
  [ "$(id -u)" -eq 0 ] || sudo=sudo
  # A package must not start its daemon here: tests run their own on free ports.
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod +x "$policy"
    # shellcheck disable=SC2064
    trap "$sudo rm -f $policy" EXIT
  fi
  $sudo apt-get update -qq >"$log" 2>&1 || fail "apt-get update failed: $(tail -n 3 "$log")"
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1 ||
    fail "cannot install $*: $(tail -n 3 "$log")"
}

# The mirror this machine uses: the first Debian archive (not security) of its sources.
debian_mirror() {
  local files=() file
  for file in /etc/apt/sources.list.d/*.sources; do [ -f "$file" ] && files+=("$file"); done
  if [ ${#files[@]} -gt 0 ]; then
    awk 'tolower($1) == "uris:" && $2 ~ /debian\/?$/ && $2 !~ /security/ { print $2; exit }' "${files[@]}"
  fi
  files=()
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do [ -f "$file" ] && files+=("$file"); done
  if [ ${#files[@]} -gt 0 ]; then
    sed -n 's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\?\([^[:space:]]*debian\/\?\)[[:space:]].*/\2/p' \
      "${files[@]}" | grep -v security | head -n 1 || true
  fi
}

# Consul left Debian after bullseye. An apt of its own, so that the machine's sources stay as they are.
install_consul() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg apt=$root/apt mirror package
  [ -r "$keyring" ] || fail "no $keyring: install debian-archive-keyring"
  mirror=$(debian_mirror | head -n 1)
  [ -n "$mirror" ] || fail 'no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d'
  rm -rf "$apt" "$root/consul"
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/parts" "$apt/download"
  : >"$apt/state/status"
  printf 'deb [signed-by=%s] %s bullseye main\n' "$keyring" "$mirror" >"$apt/sources.list"
  local options=(
    -o "Dir::Etc::SourceList=$apt/sources.list" -o "Dir::Etc::SourceParts=$apt/parts"
    -o "Dir::Etc::Preferences=/dev/null" -o "Dir::Etc::PreferencesParts=$apt/parts"
    -o "Dir::State=$apt/state" -o "Dir::State::status=$apt/state/status"
    -o "Dir::Cache=$apt/cache" -o "APT::Sandbox::User=root" -o "APT::Default-Release="
    -o "Acquire::Languages=none" -o "Acquire::Retries=3"
  )
  apt-get "${options[@]}" update -qq -o APT::Update::Error-Mode=any >"$apt/log" 2>&1 ||
    fail "cannot read bullseye from $mirror: $(tail -n 3 "$apt/log")"
  (cd "$apt/download" && apt-get "${options[@]}" download consul >"$apt/log" 2>&1) ||
    fail "cannot download consul from $mirror: $(tail -n 3 "$apt/log")"
  package=$(find "$apt/download" -name 'consul_*.deb' | head -n 1)
  [ -n "$package" ] || fail 'apt-get download left no consul package'
  dpkg -x "$package" "$root/consul" || fail "cannot unpack $package"
  "$binary" version >"$apt/log" 2>&1 || fail "consul does not run: $(tail -n 3 "$apt/log")"
  grep -q "v$consul_version" "$apt/log" || fail "expected consul $consul_version, got: $(head -n 1 "$apt/log")"
  printf '%s\n' "$consul_version" >"$root/consul/.version"
  rm -rf "$apt"
}

mkdir -p "$root"
[ ${#missing[@]} -eq 0 ] || install_missing "${missing[@]}"
has_consul || install_consul
has_node20 || install_node20

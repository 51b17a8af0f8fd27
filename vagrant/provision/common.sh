# What agent.sh and control.sh have in common. To be sourced, by root.
#
# Each step looks first and changes only what is not so; `for=SERVICE` before a step says whose restart a change means.
# shellcheck shell=bash
set -euo pipefail
umask 022
export LC_ALL=C
# this folder lies in what `daqcluster machines parts` made: beside it are wheels, the sources, jobs
parts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for=''
# what was changed, a line each: a file, as a step may stand behind a pipe, in a shell of its own
changed=$(mktemp)
trap 'rm -f "$changed"' EXIT
# whose restart is due, which a run that was cut off leaves to the next; after a boot nobody's is
due=/run/daqsched-provision

# the head of the script that was called
usage() { sed -n '2,/^[^#]/ { /^# shellcheck/d; s/^#$//p; s/^# //p }' "$0"; exit 0; }

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# before a change, so that the restart is due however it ends
changes() {
  [ -z "$for" ] || { mkdir -p "$due" && : >"$due/$for"; }
}

did() {
  changes
  echo "$*" >>"$changed"
  echo "changed: $*"
}

# the last word of a run
finish() {
  local changes
  changes=$(wc -l <"$changed")
  case $changes in
    0) echo "unchanged" ;;
    1) echo "changed 1 thing" ;;
    *) echo "changed $changes things" ;;
  esac
}

# put FILE OWNER[:GROUP] MODE: the file has what standard input says
put() {
  local file=$1 owner=$2 mode=$3 new
  [[ $owner = *:* ]] || owner=$owner:$(id -gn "$owner")
  new=$(mktemp "$file.XXXXXX")
  cat >"$new"
  chown "$owner" "$new"
  chmod "$mode" "$new"
  if [ -f "$file" ] && [ ! -L "$file" ] && cmp -s "$new" "$file" && [ "$(stat -c '%U:%G %a' "$file")" = "$(stat -c '%U:%G %a' "$new")" ]; then
    rm -f "$new"
  else
    changes
    mv -fT "$new" "$file"
    did "$file"
  fi
}

# owner FILE ACCOUNT
owner() {
  local owner
  owner=$2:$(id -gn "$2")
  [ "$(stat -c '%U:%G' "$1")" != "$owner" ] || return 0
  chown "$owner" "$1"
  did "$1"
}

# folder PATH OWNER[:GROUP] MODE
folder() {
  local path=$1 owner=$2 mode=$3
  [[ $owner = *:* ]] || owner=$owner:$(id -gn "$owner")
  [ -d "$path" ] && [ "$(stat -c '%U:%G %a' "$path")" = "$owner $mode" ] && return
  install -d -o "${owner%:*}" -g "${owner#*:}" -m "$mode" "$path"
  did "$path"
}

# link PATH TARGET
link() {
  [ "$(readlink "$1" 2>/dev/null)" = "$2" ] && return
  ln -sfnT "$2" "$1"
  did "$1 -> $2"
}

# tree SOURCE TARGET: all files of a folder
tree() {
  ! diff -rq "$1" "$2" >/dev/null 2>&1 || return 0
  rm -rf "$2.new"
  cp -rT "$1" "$2.new"
  chown -R root:root "$2.new"
  rm -rf "$2"
  mv -T "$2.new" "$2"
  did "$2"
}

group() {
  getent group "$1" >/dev/null && return
  groupadd --system "$1"
  did "group $1"
}

# account NAME HOME [GROUP]: a system account with a group of its own, and in GROUP, too
account() {
  local name=$1 home=$2 more=${3:-}
  if ! getent passwd "$name" >/dev/null; then
    if getent group "$name" >/dev/null; then set -- -g "$name"; else set -- -U; fi
    useradd --system --no-create-home --home-dir "$home" --shell /usr/sbin/nologin "$@" "$name"
    did "account $name"
  fi
  [ -z "$more" ] || member "$name" "$more"
}

# member ACCOUNT GROUP
member() {
  ! id -nG "$1" | grep -qw "$2" || return 0
  usermod -aG "$2" "$1"
  did "$1 is in $2"
}

# the distribution's packages of the list
packages() {
  local missing=() package column
  if command -v dpkg-query >/dev/null; then column=1; elif command -v rpm >/dev/null; then column=2; else die "neither Debian nor EL: install what provision/packages names, by hand"; fi
  while read -r package; do
    if [ $column = 1 ]; then
      dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    else
      rpm -q --quiet "$package" || missing+=("$package")
    fi
  done < <(awk -v column=$column '!/^#/ && NF {print $column}' "$parts/provision/packages")
  [ ${#missing[@]} = 0 ] && return
  if [ $column = 1 ]; then
    apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" >/dev/null
  else
    dnf -q -y install "${missing[@]}"
  fi || die "packages can't be installed: ${missing[*]}"
  did "packages ${missing[*]}"
}

# place NAME: /opt/NAME is the version that the parts name; LINK=1: where it lies, not a copy
place() {
  local name=$1 version
  version=$(cat "$parts/versions/$name")
  if [ -n "${LINK:-}" ]; then
    link "/opt/$name" "$parts/opt/$version"
    return
  fi
  if [ ! -d "/opt/$version" ]; then
    rm -rf "/opt/.$version"
    cp -rT "$parts/opt/$version" "/opt/.$version"
    chown -R root:root "/opt/.$version"
    mv -T "/opt/.$version" "/opt/$version"
    did "/opt/$version"
  fi
  link "/opt/$name" "$version"
}

# daqsched and its executor in /opt/daqsched, from the wheels and sources of the parts
daqsched() {
  local version python before
  version=$(cat "$parts/versions/daqsched")
  [ "$(cat /opt/daqsched/.made-of 2>/dev/null)" = "$version" ] && return
  before=$(/opt/daqsched/bin/daqsched --version 2>/dev/null) || before=''
  python=$(command -v python3.11 || command -v python3)
  # the wheels are of one Python; for another one pip asks the package index
  local tag
  tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
  if [ -d "$parts/wheels/$tag" ]; then export PIP_NO_INDEX=1 PIP_FIND_LINKS="$parts/wheels/$tag"; fi
  PYTHON=$python "$parts/source/scripts/install" daqsched /opt/daqsched >/dev/null
  unset PIP_NO_INDEX PIP_FIND_LINKS
  echo "$version" >/opt/daqsched/.made-of
  did "/opt/daqsched: $(/opt/daqsched/bin/daqsched --version | awk '{print $NF}')${before:+, was ${before##* }}"
}

# password NAME SECRET FILE: NAME logs in with what the file SECRET says, until somebody sets another; FILE keeps no text to
# compare that with, so beside it is the digest of what was set last
password() {
  local name=$1 secret=$2 file=$3 digest
  digest=$(sha256sum <"$secret")
  if ! grep -q "^$name:" "$file" 2>/dev/null || [ "$(cat "$file.$name" 2>/dev/null)" != "$digest" ]; then
    /opt/daqsched/bin/daqsched password "$name" --file "$file" <"$secret" >/dev/null || die "the password of $name can't be set"
    did "the password of $name"
    (umask 077; echo "$digest" >"$file.$name")
  fi
}

# unit NAME <text: a unit of ours
unit() {
  for=$1 put "/etc/systemd/system/$1.service" root 644
}

# running SERVICE...: they are enabled and run, with what their files say now
running() {
  local service
  [ -z "$(ls "$due" 2>/dev/null)" ] || systemctl daemon-reload
  for service in "$@"; do
    systemctl -q is-enabled "$service" 2>/dev/null || { systemctl -q enable "$service"; did "$service is enabled"; }
    if [ -e "$due/$service" ]; then
      systemctl restart "$service" || explain "$service"
      rm -f "$due/$service"
      echo "restarted: $service"
    elif ! systemctl -q is-active "$service"; then
      systemctl start "$service" || explain "$service"
      did "$service was started"
    fi
  done
}

explain() {
  journalctl -q --no-pager -n 10 -o cat -u "$1" >&2 || true
  die "$1 does not start; its last lines stand above"
}

# answers SERVICE LIMIT_S COMMAND...: wait until the command succeeds; a service that only dies is not waited for
answers() {
  local service=$1 limit=$2 began=$SECONDS deaths
  shift 2
  deaths=$(systemctl show -p NRestarts --value "$service")
  until "$@" >/dev/null 2>&1; do
    [ $(($(systemctl show -p NRestarts --value "$service") - deaths)) -lt 3 ] || explain "$service"
    [ $((SECONDS - began)) -lt "$limit" ] || die "waited $limit s in vain for $service: journalctl -u $service"
    sleep 0.2
  done
}

# same_ensemble DATA CONF HOST...: a ZooKeeper that has a state stays one of the servers that it was one of. Of others, which are
# empty, more may be up first: they elect one of themselves, and this one gives up what it has.
same_ensemble() {
  local data=$1 conf=$2 was desired=''
  shift 2
  [ -d "$data/version-2" ] && [ -f "$conf" ] || return 0
  was=$(sed -n 's/^server\.[0-9]*=\([^:]*\):.*/\1/p' "$conf" | xargs)
  [ $# -lt 2 ] || desired=$*
  [ "$was" = "$desired" ] || die "the ZooKeeper here has the farm's state and is one of \"${was:-itself alone}\"; as one of" \
    "\"${desired:-itself alone}\" it could lose it: see \"Another ensemble\" in docs/operate/ha.md"
}

# zookeeper IP NUMBER HOST...: one server, or one of several; NUMBER counts from 1
zookeeper() {
  local ip=$1 number=$2 at=0 host
  shift 2
  same_ensemble /var/lib/zookeeper /etc/zookeeper/zoo.cfg "$@"
  for=zookeeper
  account zookeeper /var/lib/zookeeper
  folder /var/lib/zookeeper zookeeper 750
  folder /etc/zookeeper root 755
  place zookeeper
  {
    printf '%s\n' tickTime=500 dataDir=/var/lib/zookeeper clientPort=2181 "clientPortAddress=$ip" \
      admin.enableServer=false 4lw.commands.whitelist=srvr initLimit=20 syncLimit=8 autopurge.purgeInterval=24
    if [ $# -gt 1 ]; then for host in "$@"; do at=$((at + 1)); echo "server.$at=$host:2888:3888"; done; fi
  } | put /etc/zookeeper/zoo.cfg root 644
  if [ $# -gt 1 ]; then echo "$number" | put /var/lib/zookeeper/myid zookeeper 640; main=quorum.QuorumPeerMain; else main=ZooKeeperServerMain; fi
  echo "MAIN=org.apache.zookeeper.server.$main" | put /etc/zookeeper/environment root 644
  unit zookeeper <"$parts/provision/units/zookeeper.service"
}

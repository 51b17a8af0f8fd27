#!/bin/bash
# Makes a machine a farm machine: a Mesos agent, the place of its executors, the policy. As root; again at any time.
#
#   agent.sh --master HOST:PORT --secrets FOLDER [--name NAME] [--ip ADDRESS] [--attributes TEXT] [--resources TEXT]
#            [--zookeeper NUMBER,HOST,HOST,...] [--cvmfs-stand-in]
#
# NAME is the name that job files have for it. FOLDER is the `agent` of what `daqcluster machines parts` made in `secrets`.
# --zookeeper: this machine is that server of these. --cvmfs-stand-in: /cvmfs/daq.example.org is the tree of the parts.
# shellcheck source=vagrant/provision/common.sh
. "$(dirname "$0")/common.sh"
name=$(hostname -s) ip='' master='' secrets='' attributes='' resources='' keepers='' stand_in=''
while [ $# -gt 0 ]; do
  case $1 in
    --name) name=$2 ;;
    --ip) ip=$2 ;;
    --master) master=$2 ;;
    --secrets) secrets=$2 ;;
    --attributes) attributes=$2 ;;
    --resources) resources=$2 ;;
    --zookeeper) keepers=$2 ;;
    --cvmfs-stand-in) stand_in=1; shift; continue ;;
    -h | --help) usage ;;
    *) die "what is $1? --help says what there is" ;;
  esac
  shift 2 || die "what is the value of $1?"
done
[ -n "$master" ] || die "which master? --master HOST:PORT"
[ -d "$secrets" ] || die "which secrets? --secrets FOLDER"
[ -n "$ip" ] || ip=$(getent ahostsv4 "$name" | awk '$2 == "STREAM" && $1 !~ /^127/ {print $1; exit}')
[ -n "$ip" ] || die "$name has no address: --ip ADDRESS"
attributes=${attributes:-hostname:$name;rack:r1}
if [ -z "$resources" ]; then
  # all cores, and the memory and disk but for what the system needs itself
  memory=$(awk '/^MemTotal/ {print int($2 / 1024) - 1024}' /proc/meminfo)
  disk=$(df -m --output=size /var/lib | awk 'NR == 2 {print int($1 * 0.8)}')
  resources="cpus:$(nproc);mem:$((memory > 256 ? memory : 256));disk:$disk;ports:[31000-32000]"
fi

packages
for=mesos-agent
place mesos
for=''
daqsched

account daq /var/lib/daq
folder /var/lib/mesos root 755
folder "/var/lib/mesos/daqsched.$(id -u daq)" daq 755
folder /etc/daqsched root 755
for=''
put /etc/daqsched/policy root 644 <<'P'
# What jobs may have on this machine: docs/operate/farm.md.
accounts = daq
volumes = /cvmfs:ro
P
put /etc/daqsched/forward.user daq 600 <"$secrets/forward.user"
put /etc/daqsched/ca.pem root 644 <"$secrets/ca.pem"

folder /cvmfs root 755
if [ -n "$stand_in" ]; then
  folder /cvmfs/daq.example.org root 755
  put /etc/systemd/system/cvmfs-daq.example.org.mount root 644 <<M
[Unit]
Description=Stands in for cvmfs
[Mount]
What=$parts/cvmfs/daq.example.org
Where=/cvmfs/daq.example.org
Type=none
Options=bind,ro
[Install]
WantedBy=multi-user.target
M
  running cvmfs-daq.example.org.mount
fi

if [ -n "$keepers" ]; then
  IFS=, read -r number hosts <<<"$keepers"
  # shellcheck disable=SC2086
  zookeeper "$ip" "$number" ${hosts//,/ }
  running zookeeper
fi

for=mesos-agent
folder /etc/mesos root 755
[ -s /etc/mesos/executors.key ] || head -c 32 /dev/urandom | base64 | put /etc/mesos/executors.key root 600
# This Mesos knows the first kind of cgroups only. Without them nothing holds a program to its share.
if [ -d /sys/fs/cgroup/freezer ] && mkdir -p /sys/fs/cgroup/{freezer,cpu,cpuacct,memory}/mesos 2>/dev/null; then
  launcher=linux isolation=filesystem/linux,cgroups/cpu,cgroups/mem
else
  launcher=posix isolation=filesystem/posix,posix/cpu,posix/mem
fi
put /etc/mesos/agent.env root 644 <<P
MESOS_IP=$ip
MESOS_PORT=5051
MESOS_HOSTNAME=$name
MESOS_MASTER=$master
MESOS_WORK_DIR=/var/lib/mesos
MESOS_RUNTIME_DIR=/run/mesos
MESOS_LAUNCHER_DIR=/opt/mesos/libexec
MESOS_ATTRIBUTES=$attributes
MESOS_RESOURCES=$resources
MESOS_LAUNCHER=$launcher
MESOS_ISOLATION=$isolation
MESOS_FETCHER_CACHE_DIR=/var/lib/mesos/fetch
MESOS_SYSTEMD_ENABLE_SUPPORT=false
MESOS_EXECUTOR_REREGISTRATION_TIMEOUT=10secs
MESOS_EXECUTOR_ENVIRONMENT_VARIABLES='{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}'
MESOS_AUTHENTICATE_HTTP_EXECUTORS=true
MESOS_HTTP_AUTHENTICATORS=jwt
MESOS_JWT_SECRET_KEY=/etc/mesos/executors.key
P
unit mesos-agent <"$parts/provision/units/mesos-agent.service"
unit mesos-agent-firewall <"$parts/provision/units/mesos-agent-firewall.service"
running mesos-agent-firewall mesos-agent
answers mesos-agent 120 curl -fsm 2 "http://$ip:5051/slave(1)/health"
finish

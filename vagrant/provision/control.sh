#!/bin/bash
# Makes a machine a control machine: ZooKeeper, the Mesos master, Elasticsearch, `daqsched serve` with its page, the copy of its audit file.
# As root; again at any time.
#
#   control.sh --control HOST --secrets FOLDER --zookeeper NUMBER,HOST[,HOST...] [--name NAME] [--ip ADDRESS] [--spare]
#              [--crew ACCOUNT]
#
# HOST of --control has the master and Elasticsearch. --spare: this is another machine, with ZooKeeper and a second `serve`.
# --crew: this account may use `daqsched`, and read lines. FOLDER is the `control` of what `daqcluster machines parts` made in `secrets`.
# shellcheck source=vagrant/provision/common.sh
. "$(dirname "$0")/common.sh"
name=$(hostname -s) ip='' control='' secrets='' keepers='' spare='' crew=''
while [ $# -gt 0 ]; do
  case $1 in
    --name) name=$2 ;;
    --ip) ip=$2 ;;
    --control) control=$2 ;;
    --secrets) secrets=$2 ;;
    --zookeeper) keepers=$2 ;;
    --crew) crew=$2 ;;
    --spare) spare=1; shift; continue ;;
    -h | --help) usage ;;
    *) die "what is $1? --help says what there is" ;;
  esac
  shift 2 || die "what is the value of $1?"
done
[ -n "$control" ] || die "which machine has the master? --control HOST"
[ -d "$secrets" ] || die "which secrets? --secrets FOLDER"
[ -n "$ip" ] || ip=$(getent ahostsv4 "$name" | awk '$2 == "STREAM" && $1 !~ /^127/ {print $1; exit}')
[ -n "$ip" ] || die "$name has no address: --ip ADDRESS"
IFS=, read -r number hosts <<<"$keepers"
[ -n "${hosts:-}" ] || die "which ZooKeeper is it of which? --zookeeper 1,$name"

packages
for="daqsched-serve daqsched-audit-copy"
daqsched
for=''
group daq
folder /etc/daqsched root 755

# shellcheck disable=SC2086
zookeeper "$ip" "$number" ${hosts//,/ }
running zookeeper

if [ -z "$spare" ]; then
  for=elasticsearch
  account elasticsearch /var/lib/elasticsearch
  folder /var/lib/elasticsearch elasticsearch 750
  folder /var/log/elasticsearch elasticsearch 750
  folder /etc/elasticsearch elasticsearch 750 # it makes its keystore there
  place elasticsearch
  put /etc/elasticsearch/log4j2.properties root 644 </opt/elasticsearch/config/log4j2.properties
  for file in users users_roles roles.yml; do put /etc/elasticsearch/$file root:elasticsearch 640 <"$secrets/elasticsearch/$file"; done
  for file in ca.pem http.pem http.key; do put /etc/elasticsearch/$file root:elasticsearch 640 <"$secrets/elasticsearch/$file"; done
  put /etc/elasticsearch/elasticsearch.yml root:elasticsearch 640 <<P
cluster.name: daq
node.name: $name
path.data: /var/lib/elasticsearch
path.logs: /var/log/elasticsearch
http.host: $ip
http.port: 9200
transport.host: 127.0.0.1
discovery.type: single-node
xpack.ml.enabled: false
xpack.security.enabled: true
xpack.security.transport.ssl.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: http.pem
xpack.security.http.ssl.key: http.key
P
  # the start counts more than the speed here: the first compiler, the simplest collector. Its users and roles are files; an index
  # of them, into which it would write its own roles, it can't make, and would try again and again
  grep -vE '^-XX:\+UseG1GC|^-XX:\+HeapDump|^-XX:HeapDumpPath|^-Xlog:gc|^-XX:\+AlwaysPreTouch|^[0-9-]*:?-XX:ErrorFile|^-XX:ErrorFile' /opt/elasticsearch/config/jvm.options |
    put /etc/elasticsearch/jvm.options root 644
  put /etc/elasticsearch/environment root 644 <<P
ES_JAVA_HOME=$(dirname "$(dirname "$(readlink -f /usr/bin/java)")")
ES_JAVA_OPTS=-Xms512m -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-AlwaysPreTouch -Des.queryable_built_in_roles_enabled=false
CLI_JAVA_OPTS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto
P
  unit elasticsearch <"$parts/provision/units/elasticsearch.service"

  for=mesos-master
  account mesos /var/lib/mesos-master
  place mesos
  folder /etc/mesos root 755
  folder /var/lib/mesos-master mesos 750
  tree "$parts/webui" /opt/mesos-webui
  put /etc/mesos/frameworks.json mesos 600 <"$secrets/frameworks.json"
  put /etc/mesos/master.env root 644 <<P
MESOS_IP=$ip
MESOS_PORT=5050
MESOS_HOSTNAME=$name
MESOS_WORK_DIR=/var/lib/mesos-master
MESOS_CLUSTER=daq
MESOS_REGISTRY=replicated_log
MESOS_WEBUI_DIR=/opt/mesos-webui
MESOS_ALLOCATION_INTERVAL=200ms
MESOS_AGENT_PING_TIMEOUT=2secs
MESOS_MAX_AGENT_PING_TIMEOUTS=5
MESOS_CREDENTIALS=/etc/mesos/frameworks.json
MESOS_AUTHENTICATE_HTTP_FRAMEWORKS=true
MESOS_HTTP_FRAMEWORK_AUTHENTICATORS=basic
P
  unit mesos-master <"$parts/provision/units/mesos-master.service"
  running elasticsearch mesos-master
fi

for=daqsched-serve
account daqsched /var/lib/daqsched daq
folder /etc/daqsched/tls root:daqsched 750
if ! openssl x509 -checkend 2592000 -noout -in "/etc/daqsched/tls/$name.pem" >/dev/null 2>&1; then # a month before its end
  /opt/daqsched/bin/daqsched cert /etc/daqsched/tls "$name" "$ip" >/dev/null || die "the page's certificate can't be made"
  did "/etc/daqsched/tls/$name.pem"
fi
owner "/etc/daqsched/tls/$name.pem" daqsched
owner "/etc/daqsched/tls/$name.key" daqsched
password crew "$secrets/page.password" /etc/daqsched/passwords
owner /etc/daqsched/passwords daqsched
if [ ! -e /etc/daqsched/rights.yaml ]; then # once: from then on it is the farm's
  put /etc/daqsched/rights.yaml root 644 <<'P'
# who may what: docs/operate/rights.md
version: 1
rules:
  - {to: ["unix-group:daq", "password:crew"], role: admin}
P
fi
for file in zookeeper peers.pem framework.json; do put /etc/daqsched/$file daqsched 600 <"$secrets/$file"; done
put /etc/daqsched/expire.user daqsched 600 <"$secrets/expire.user"
put /etc/daqsched/ca.pem root 644 <"$secrets/elasticsearch/ca.pem"
zk="${hosts//,/:2181,}:2181"
put /etc/daqsched/serve.env root 600 <<P
DAQSCHED_MASTER=$control:5050
DAQSCHED_ELASTICSEARCH=https://$control:9200
DAQSCHED_ELASTICSEARCH_CA=/etc/daqsched/ca.pem
DAQSCHED_ELASTICSEARCH_USER_FILE=/etc/daqsched/expire.user
DAQSCHED_STATE=zk://$zk/daqsched
DAQSCHED_STATE_CREDENTIALS=/etc/daqsched/zookeeper
DAQSCHED_PEERS_CERTIFICATE=/etc/daqsched/peers.pem
SERVE_OPTIONS=--group daq --user daq --executor /opt/daqsched/bin/daqsched-executor --credentials /etc/daqsched/framework.json --elasticsearch-ca /etc/daqsched/ca.pem --elasticsearch-user-file /etc/daqsched/forward.user --rights /etc/daqsched/rights.yaml --passwords /etc/daqsched/passwords --web $ip:8443 --web-certificate /etc/daqsched/tls/$name.pem --web-key /etc/daqsched/tls/$name.key --webui-url https://$ip:8443/
P
unit daqsched-serve <"$parts/source/framework/systemd/daqsched-serve.service"

# what this machine's `serve` notes of who changed what
for=daqsched-audit-copy
put /etc/daqsched/audit.user daqsched 600 <"$secrets/audit.user"
put /etc/daqsched/auditor.user root 600 <"$secrets/auditor.user"
put /etc/daqsched/audit-copy.env root 600 <<P
DAQSCHED_ELASTICSEARCH=https://$control:9200
DAQSCHED_ELASTICSEARCH_CA=/etc/daqsched/ca.pem
DAQSCHED_ELASTICSEARCH_USER_FILE=/etc/daqsched/audit.user
COPY_OPTIONS=
P
unit daqsched-audit-copy <"$parts/source/framework/systemd/daqsched-audit-copy.service"
running daqsched-serve daqsched-audit-copy

# the crew: who is in the group daq
for=''
[ -z "$crew" ] || member "$crew" daq
for role in read setup; do put /etc/daqsched/$role.user root:daq 640 <"$secrets/$role.user"; done
put /etc/profile.d/daqsched.sh root 644 <<'P'
export PATH=$PATH:/opt/daqsched/bin DAQSCHED_SOCKET=/run/daqsched/daqsched.sock
export DAQSCHED_ELASTICSEARCH_CA=/etc/daqsched/ca.pem DAQSCHED_ELASTICSEARCH_USER_FILE=/etc/daqsched/read.user
P

if [ -z "$spare" ]; then
  answers mesos-master 120 curl -fsm 2 "http://$ip:5050/health"
  answers elasticsearch 300 curl -sm 2 --cacert /etc/daqsched/ca.pem "https://$control:9200/"
  for=''
  said=$(/opt/daqsched/bin/daqsched logs setup --elasticsearch "https://$control:9200" --elasticsearch-ca /etc/daqsched/ca.pem \
    --elasticsearch-user-file /etc/daqsched/setup.user --index daqsched-logs) || die "the index templates can't be installed: $said"
  while read -r word what; do [ "$word" != done ] || did "$what"; done <<<"$said"
fi
finish

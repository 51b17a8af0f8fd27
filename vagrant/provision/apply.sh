#!/bin/bash
# Applies jobs/vagrant.py to the farm, where nobody has applied anything since `make vagrant` did: somebody else's jobs stay. Inside a
# control machine, as one of the crew.
#
#   apply.sh HOSTS
#
# HOSTS as a job file has them, such as hlt[01-02].
set -euo pipefail
mark='make vagrant'
apply=(daqsched apply /srv/daqsched/jobs/vagrant.py --set "hosts=${1:?which hosts? hlt[01-02] for example}" --message "$mark")
last=$(daqsched history --most 1 --json)
read -r number digest own user < <(python3 -c '
import json, sys
for one in json.loads(sys.argv[1]):
    print(one["number"], one["digest"], one["message"] == sys.argv[2], one["user"])' "$last" "$mark") || true
if [ "${own:-True}" = True ]; then
  exec "${apply[@]}" ${digest:+--if-unchanged "$digest"}
fi
echo "revision $number by $user is not of make vagrant, and stays; for its jobs instead, in control: $(
  python3 -c 'import shlex, sys; print(shlex.join(sys.argv[1:]))' "${apply[@]}"
)"

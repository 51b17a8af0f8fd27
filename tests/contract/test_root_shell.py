"""What the pages have root type on a machine is typed by root, in namespaces of its own: all that is written goes into memory.

A block that is not typed here says in `ELSEWHERE` what shows it instead.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pages import PAGES, ROOT, blocks, name, read

#: ``sh`` blocks, by page and the beginning of the first line.
BLOCKS = {
    (name(page), block.text.partition("\n")[0]): block.text
    for page in PAGES
    for block in blocks(read(page))
    if (block.kind, block.what) == ("sh", "")
}


class Session(NamedTuple):
    """Blocks of one page that are typed one after the other, by how they begin; and what must be so then, in shell."""

    page: str
    begins: tuple[str, ...]
    then: str
    #: What was there before.
    before: str = ""


SESSIONS = [
    Session(
        "docs/operate/farm.md",
        ("scripts/install daqsched /opt/daqsched", "install -d -o daq -g daq -m 755"),
        "test $(stat -c %a:%U /etc/daqsched/serve.env) = 600:root\n"
        "systemctl is-a-unit daqsched-serve\n"
        "id -nG daqsched | grep -qw daq && test $(getent passwd daqsched | cut -d: -f6) = /var/lib/daqsched\n"
        "test $(stat -c %a:%U /var/lib/mesos/daqsched.$(id -u daq)) = 755:daq",
    ),
    Session(
        "docs/operate/audit.md",
        ("install -D -m 644 framework/systemd/daqsched-audit-copy",),
        "test $(stat -c %a:%U /etc/daqsched/audit-copy.env) = 600:root\nsystemctl is-a-unit daqsched-audit-copy",
    ),
    Session(
        "docs/operate/install.md",
        ("iptables -N DAQ",),
        "iptables -S INPUT | grep -qx -- '-A INPUT -j DAQ' && test $(iptables -S DAQ | grep -c -- '-j RETURN') = 6\n"
        "test $(iptables -S DAQ | tail -7 | grep -c -- '-j REJECT') = 7",
    ),
    Session(
        "docs/operate/install.md",
        ("getent passwd 970",),
        "test $(id -u daq) = 970 && test $(id -gn daq) = daq",
        before="userdel daq; mount -t tmpfs memory /home",
    ),
    Session(
        "docs/operate/security.md",
        ("iptables -A OUTPUT",),
        "iptables -S OUTPUT | tail -3 | sed 's/.*-j //' | tr '\\n' ' ' | grep -q '^ACCEPT ACCEPT REJECT'",
    ),
    Session(
        "docs/operate/ha.md",
        ("(umask 077; echo", "(umask 077; openssl"),
        "test $(stat -c %a /etc/daqsched/zookeeper) = 600 && test $(stat -c %a /etc/daqsched/peers.pem) = 600\n"
        "grep -qx 'daq:a long password' /etc/daqsched/zookeeper",
    ),
    Session(
        "docs/operate/install.md",
        ("apt-get install ./daqsched-executor_*.deb        #",),
        "test -s /etc/daqsched/policy && test $(stat -c %a:%U /etc/daqsched/forward.user) = 600:daq\n"
        "test $(stat -c %a:%U /var/lib/mesos/daqsched.$(id -u daq)) = 755:daq",
    ),
    Session(
        "docs/operate/install.md",
        ("daqsched cert",),
        "daqsched cert /etc/daqsched/tls ctl1.daq.example ctl1\n"
        "daqsched password bob --file /etc/daqsched/passwords <<<'battery staple'\n"
        "whose() { stat -c %a:%U /etc/daqsched/$1; }\n"
        "test $(whose tls/ctl1.daq.example.key) = 600:daqsched && test $(whose tls/ca.key) = 600:root\n"
        "test $(whose passwords) = 600:daqsched && test $(grep -cE '^(alice|bob):' /etc/daqsched/passwords) = 2\n"
        "test $(whose tls) = 750:root",
        before="id daqsched > /dev/null 2>&1 || useradd --system daqsched",  # the package does
    ),
    Session(
        "docs/operate/standalone.md",
        (
            "scripts/install daqsched-executor",
            "install -m 600 /dev/null",
            "/opt/daqsched/bin/daqsched-executor forward",
        ),
        "test $(stat -c %a /etc/daqsched/elasticsearch.user) = 600\n"
        "grep -qx forwarder:PASSWORD /etc/daqsched/elasticsearch.user && systemctl is-a-unit daqsched-forward",
    ),
    Session(
        "docs/reference/forwarder.md",
        ("ln -s",),
        "test $(cat /var/lib/node_exporter/textfile/daqsched.prom) = metrics",
    ),
]

CLUSTER = "typed as it stands by whoever runs a cluster: tests/conftest.py does the same by `daqcluster`"
MACHINES = "machines of their own: tests/machines/ (`make vagrant-test`)"
ITSELF = "runs these tests, or hours of them"
PACKAGES = (
    "the trial of a release (release/trial.py, release/installed.py) installs the packages in a Debian of its own"
)
BY_SSH = f"parts, control.sh and agent.sh: {MACHINES}; that rsync and ssh bring them there no test shows"
MIXED = (
    "typed by hand in machines of scripts/install's, 2026-11-28; what refuses: tests/contract/test_release_packages.py"
)
SERVES = "serves until it is told to end; options: tests/unit/test_pages.py, the daemon: tests/cluster/"

#: What is not typed here, and what shows it.
ELSEWHERE = {
    ("README.md", "make run"): CLUSTER,
    ("README.md", "make vagrant"): MACHINES,
    ("CONTRIBUTING.md", "scripts/setup"): "made the folder of these tests (tests/contract/test_setup.py)",
    ("docs/reference/commands.md", "echo"): "a bash that has read it: tests/contract/test_completion.py",
    ("docs/design/packaging.md", "python3 -m venv"): PACKAGES,
    ("docs/operate/audit.md", "daqsched audit copy"): "a real Elasticsearch: tests/cluster/test_audit_copy.py",
    ("docs/operate/changes.md", "daqsched variables"): "tests/contract/test_set.py",
    ("docs/operate/changes.md", "daqsched propose"): "tests/contract/test_proposals_api.py",
    ("docs/operate/farm.md", "daqsched serve"): SERVES,
    ("docs/operate/farm.md", "mesos-agent"): "agents that ask executors for tokens: tests/cluster/test_forged.py",
    ("docs/operate/ha.md", "daqsched restore"): "tests/contract/test_backup.py",
    ("docs/operate/ha.md", "daqsched serve"): SERVES,
    ("docs/operate/install.md", "make release"): PACKAGES,
    ("docs/operate/install.md", "cd dist"): PACKAGES,
    ("docs/operate/install.md", "apt-get install ./daqsched-executor_*.deb ./daqsched"): PACKAGES,
    ("docs/operate/install.md", "daqsched logs setup"): "a real Elasticsearch: tests/cluster/test_elastic.py",
    ("docs/operate/install.md", "daqsched status"): MACHINES,
    (
        "docs/operate/install.md",
        "daqsched preflight",
    ): "a farm, on which tests/cluster/test_pages.py types these of other pages",
    (
        "docs/operate/install.md",
        "getent hosts",
    ): "machines with names: tests/machines/ finds them, and agent.sh its own",
    ("docs/operate/install.md", "nc -zv"): "asks other machines; the rules are typed here",
    ("docs/operate/install.md", ".venv/bin/daqcluster machines parts"): BY_SSH,
    ("docs/operate/install.md", "for host in hlt{01..20}"): BY_SSH,
    ("docs/operate/install.md", "systemctl disable --now"): MIXED,
    ("docs/operate/install.md", "mv /opt/daqsched /opt/daqsched.mixed"): MIXED,
    ("docs/operate/install.md", "docker build"): "the trial of a release (release/image.py) builds and runs it",
    (
        "docs/operate/rights.md",
        "daqsched rights  ",
    ): "tests/contract/test_rights_api.py, and tests/cluster/test_roles.py",
    ("docs/operate/rights.md", "daqsched cert"): "tests/contract/test_web_port.py",
    ("docs/operate/rights.md", "daqsched --server"): "tests/contract/test_login_command.py",
    ("docs/operate/rights.md", "daqsched serve"): SERVES,
    ("docs/operate/rights.md", "daqsched token create"): "tests/contract/test_web_port.py",
    ("docs/operate/rights.md", "daqsched rights elasticsearch"): "a real one: tests/cluster/test_reader_roles.py",
    ("docs/operate/security.md", "python3 /srv/daqsched/hardening.py"): MACHINES,
    ("docs/operate/vagrant.md", ""): MACHINES,
    (
        "docs/reference/api.md",
        "S=",
    ): "each question of that page is typed by tests/cluster/test_pages.py, with another S",
    ("docs/reference/containers.md", "docker ps"): "an engine with containers: tests/cluster/test_container.py",
    ("docs/reference/daqcluster.md", "daqcluster up"): CLUSTER,
    ("docs/reliability.md", "make faults"): ITSELF,
    ("docs/reliability.md", ".venv/bin/python -m pytest"): ITSELF,
    ("docs/reliability.md", "make vagrant-test"): MACHINES,
}


def found(page: str, begin: str) -> list[tuple[str, str]]:
    """The blocks of the page that begin so."""
    return [key for key in BLOCKS if key[0] == page and key[1].startswith(begin)]


def test_each_block_is_typed_or_says_what_shows_it() -> None:
    """Once; and each entry is of a block."""
    entries = [(one.page, begin) for one in SESSIONS for begin in one.begins] + list(ELSEWHERE)
    assert not [entry for entry in entries if not found(*entry)]
    typed = [key for entry in entries for key in found(*entry)]
    assert sorted(typed) == sorted(BLOCKS), set(BLOCKS).symmetric_difference(typed)
    named = {path for why in ELSEWHERE.values() for path in re.findall(r"(?:tests|release)/[\w/.]*\w", why)}
    assert named and not [path for path in named if not (ROOT / path).exists()]


#: What a reader's machine has: the account of the jobs, folders of Mesos and of Prometheus' exporter, and programs that do nothing
#: here but look at what they are asked for. The root of the system is written to in memory alone.
PRELUDE = r"""
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs memory "$MEMORY"
for folder in etc opt srv var/lib usr/share/doc; do
    mkdir -p "$MEMORY/$folder/new" "$MEMORY/$folder/work"
    mount -t overlay -o "lowerdir=/$folder,upperdir=$MEMORY/$folder/new,workdir=$MEMORY/$folder/work" overlay "/$folder"
done
mkdir -p /etc/daqsched /var/lib/node_exporter/textfile /var/lib/mesos/daqsched/forward "$MEMORY/bin" "$MEMORY/checkout/scripts"
rm -rf /var/lib/mesos/daqsched/forward/* /opt/daqsched
echo metrics > /var/lib/mesos/daqsched/forward/metrics.prom
id daq > /dev/null 2>&1 || useradd --system daq
cat > "$MEMORY/bin/editor" <<'END'
#!/bin/bash
case $1 in *.yaml) printf '%s\n' 'version: 1' 'rules:' '  - {to: known, role: viewer}' > "$1" ;; esac
END
cat > "$MEMORY/checkout/scripts/install" <<'END'
#!/bin/bash
mkdir -p "$2/bin" && ln -s "$OURS/$1" "$2/bin/"
END
cat > "$MEMORY/bin/apt-get" <<'END'
#!/bin/bash
test "$1" = install
mkdir -p /usr/share/doc/daqsched-executor /opt/daqsched/bin
cp "$CHECKOUT/release/packages/policy" /usr/share/doc/daqsched-executor/
ln -s "$OURS/daqsched-executor" /opt/daqsched/bin/
END
cat > "$MEMORY/bin/systemctl" <<'END'
#!/bin/bash
case "$*" in
    daemon-reload) ;;
    "restart daqsched-serve") ;;
    "enable --now "* | "is-a-unit "*) test -s "/etc/systemd/system/${!#}.service" ;;
    *) exit 1 ;;
esac
END
chmod +x "$MEMORY/bin/"* "$MEMORY/checkout/scripts/install"
cd "$MEMORY/checkout"
ln -s "$CHECKOUT/framework" "$CHECKOUT/executor" .
touch forward.user ca.pem
PATH="$MEMORY/bin:$OURS:$PATH"
"""


def ready() -> bool:
    """Whether such namespaces can be had here."""
    asked = ["unshare", "-mn", "true"]
    return os.getuid() == 0 and subprocess.run(asked, capture_output=True, timeout=10).returncode == 0


@pytest.mark.once
@pytest.mark.parametrize("session", SESSIONS, ids=lambda one: f"{one.page}: {one.begins[0][:20]}")
def test_root_types_it_and_has_what_the_page_says(session: Session, tmp_path: Path) -> None:
    """Each command ends well, and what was to be made is there."""
    if not ready():
        pytest.skip("needs root, and a kernel that gives namespaces")
    typed = [BLOCKS[key] for begin in session.begins for key in found(session.page, begin)]
    text = "\n".join((PRELUDE, session.before, *typed, session.then))
    environment = {
        **os.environ,
        "MEMORY": str(tmp_path),
        "CHECKOUT": str(ROOT),
        "OURS": str(Path(sys.executable).parent),
    }
    done = subprocess.run(
        ["unshare", "-mn", "bash", "-x", "-c", text],
        env=environment,
        input="correct horse battery\n",  # a password that is asked for
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]

"""How a master and its agents are started, and whether they are ready."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from daqcluster import processes
from daqcluster.containers import root_of
from daqcluster.errors import ClusterError
from daqcluster.member import SYSTEM_PATH, Member

#: More than the machine has: the programs of a test farm need next to nothing, and a hundred must fit.
RESOURCES = "cpus:64;mem:65536;disk:100000"

#: Agents of one machine share its ports: each offers some of its own, below those that Linux gives to connections.
FIRST_PORT, PORTS_EACH, MOST_AGENTS = 31000, 35, 50

#: A launcher -> how it keeps containers apart.
ISOLATION = {
    "linux": "filesystem/linux,cgroups/cpu,cgroups/mem",
    "posix": "filesystem/posix,posix/cpu,posix/mem",
}


#: The page that a master shows (docs/reference/webui.md).
WEBUI = Path(__file__).resolve().parent / "webui"

#: Names of members that are no agents.
_TAKEN = ("master", "elasticsearch", "zookeeper")


def ports(number: int) -> str:
    """What the agent with this number, from 0 on, offers."""
    first = FIRST_PORT + number % MOST_AGENTS * PORTS_EACH
    return f"{first}-{first + PORTS_EACH - 1}"


def check(folder: Path, names: Sequence[str], attributes: str, offered: Optional[str] = None) -> None:
    """Raise `ClusterError` where agents can't be called so or live there, before anything is started."""
    if re.fullmatch(r"[\w./,:@%+=~-]+", str(folder)) is None:
        raise ClusterError(f"{str(folder)!r}: Mesos gives its folders to a shell unquoted; name one without blanks")
    for number, name in enumerate(names):
        if name in _TAKEN or name in names[:number]:
            raise ClusterError(f"two members can't both be called {name!r}: give each agent a name of its own")
        # it becomes the name of folders and cgroups
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name) is None:
            raise ClusterError(f"{name!r} is not a host name: letters, digits, '-' and '.' are")
    _attributes("hlt01", attributes)
    if offered is not None and re.fullmatch(r"\d+-\d+(,\d+-\d+)*", offered) is None:
        raise ClusterError(f"{offered!r} are not ports: write FIRST-LAST, several with commas")


def _attributes(name: str, template: str) -> str:
    try:
        return template.format(name=name)
    except (AttributeError, IndexError, KeyError, ValueError):
        raise ClusterError(f"{template!r} as attributes: only {{name}} may stand in braces") from None


class Network(NamedTuple):
    """Where a cluster is that is not all on loopback: agents may be in network namespaces of their own, which can be cut off."""

    #: What the master listens on; all agents must reach it.
    master: str
    #: agent -> the namespace's name (as `ip netns` has it), and the agent's address in it; others are on loopback.
    away: Mapping[str, tuple[str, str]]


LOOPBACK = Network("127.0.0.1", {})


def master(
    home: Path, folder: Path, port: int, webui: Optional[str], credentials: Optional[str], network: Network = LOOPBACK
) -> Member:
    """The master, standalone, with a registry on disk that survives its death."""
    work = folder / "work" / "master"
    work.mkdir(parents=True, exist_ok=True)
    env = {
        "MESOS_IP": network.master,
        "MESOS_PORT": str(port),
        "MESOS_HOSTNAME": network.master,
        "MESOS_WORK_DIR": str(work),
        "MESOS_CLUSTER": "daqcluster",
        "MESOS_REGISTRY": "replicated_log",
        # a farm of three can be offered five times a second
        "MESOS_ALLOCATION_INTERVAL": "200ms",
        # so that an agent notices a new master, and the master a dead agent, in ten seconds instead of 75
        "MESOS_AGENT_PING_TIMEOUT": "2secs",
        "MESOS_MAX_AGENT_PING_TIMEOUTS": "5",
        "MESOS_WEBUI_DIR": webui or str(WEBUI),
    }
    if credentials:
        env["MESOS_CREDENTIALS"] = str(Path(credentials).absolute())
        env["MESOS_AUTHENTICATE_HTTP_FRAMEWORKS"] = "true"
        env["MESOS_HTTP_FRAMEWORK_AUTHENTICATORS"] = "basic"
    return Member("master", [str(home / "mesos-master")], env, str(folder / "logs" / "master.log"), port)


def agent(
    home: Path,
    folder: Path,
    cluster: str,
    name: str,
    port: int,
    master_url: str,
    how: str,
    attributes: str,
    offered: str,
    network: Network = LOOPBACK,
    tokens: bool = True,
) -> Member:
    """An agent that calls itself ``name``, with a work folder of its own, which offers these ports. ``tokens``: whether
    executors must show the token that it gave them."""
    work = folder / "work" / name
    (work / "run").mkdir(parents=True, exist_ok=True)
    namespace, address = network.away.get(name, ("", "127.0.0.1"))
    # not `ip netns exec`, which hides the cgroups as well
    within = ["/usr/bin/nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    env = {
        "MESOS_IP": address,
        "MESOS_PORT": str(port),
        "MESOS_HOSTNAME": name,
        "MESOS_MASTER": master_url,
        "MESOS_WORK_DIR": str(work),
        "MESOS_RUNTIME_DIR": str(work / "run"),
        "MESOS_LAUNCHER_DIR": str(home / "libexec"),
        "MESOS_ATTRIBUTES": _attributes(name, attributes),
        "MESOS_RESOURCES": f"{RESOURCES};ports:[{offered}]",
        "MESOS_LAUNCHER": how,
        "MESOS_ISOLATION": ISOLATION[how],
        "MESOS_FETCHER_CACHE_DIR": str(work / "fetch"),
        "MESOS_SYSTEMD_ENABLE_SUPPORT": "false",
        "MESOS_REGISTRATION_BACKOFF_FACTOR": "100ms",
        # Mesos' default; an agent that is back always waits it out before it registers
        "MESOS_EXECUTOR_REREGISTRATION_TIMEOUT": "2secs",
        # an executor gets this in place of the agent's environment: the mark must be in it, `down` finds it by that
        "MESOS_EXECUTOR_ENVIRONMENT_VARIABLES": json.dumps({"PATH": SYSTEM_PATH, processes.CLUSTER: cluster}),
    }
    if tokens:
        env["MESOS_AUTHENTICATE_HTTP_EXECUTORS"] = "true"
        env["MESOS_HTTP_AUTHENTICATORS"] = "jwt"  # by default "basic" as well, which wants credentials
        env["MESOS_JWT_SECRET_KEY"] = _key(work / "executors.key")
    if how == "linux":
        env["MESOS_CGROUPS_ROOT"] = root_of(cluster, name)
    extra = {"attributes": env["MESOS_ATTRIBUTES"], "ports": offered, "work_dir": str(work)}
    return Member(
        name, [*within, str(home / "mesos-agent")], env, str(folder / "logs" / f"{name}.log"), port, extra=extra
    )


def _key(path: Path) -> str:
    """What tokens are signed with: the same when the agent is started again, as executors keep theirs."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return str(path)


def get(port: int, path: str, address: str = "127.0.0.1") -> Optional[Mapping[str, Any]]:
    """What a daemon answers; None where it does not, or not now."""
    connection = http.client.HTTPConnection(address, port, timeout=2.0)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            return None
        found: Mapping[str, Any] = json.loads(body) if body else {}
        return found
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def leads(one: Member) -> Optional[Mapping[str, Any]]:
    """The master's /state once it leads: redirects and refusals come first, then its registry is recovered."""
    well = get(one.port, "/health", one.address) is not None
    state = get(one.port, "/state", one.address) if well else None
    return state if state is not None and state.get("leader") else None


def registered(one: Member) -> set[str]:
    """The host names of the agents that the master knows and that are active."""
    slaves = get(one.port, "/slaves", one.address) or {}
    return {slave["hostname"] for slave in slaves.get("slaves", ()) if slave["active"]}


def agent_answers(one: Member) -> bool:
    """Whether an agent has recovered what it knew and serves."""
    return get(one.port, "/slave(1)/health", one.address) is not None

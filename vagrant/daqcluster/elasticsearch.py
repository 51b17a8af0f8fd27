"""A real Elasticsearch: the official build for integration tests out of Maven's index, and the command that runs it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import pwd
import shutil
import ssl
import zipfile
from pathlib import Path
from typing import Mapping, NamedTuple, Sequence
from urllib.parse import urlsplit

from daqcluster import cache, elasticsearch_start, java, maven
from daqcluster.errors import ClusterError
from daqcluster.progress import Say, going_on

VERSION = "8.19.21"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
SHA256 = "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a"

#: Its folder in the cache.
_NAME = f"elasticsearch-{VERSION}"

#: It refuses to run as root.
ACCOUNT = "nobody"

#: The fast way up: the first compiler only, the simplest collector. 6 s instead of 11 s on two cores; a server that is
#: hot computes about half as fast, which nobody here waits for.
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-AlwaysPreTouch"


def lacks() -> set[str]:
    """The Debian packages that must be installed before it can be fetched and run."""
    return java.lacks() | (set() if cache.has(_NAME) else maven.lacks())


def ready(say: Say) -> Path:
    """Its folder in the cache, fetched if it is not there."""

    def make(folder: Path) -> None:
        with going_on(say, f"fetching Elasticsearch {VERSION} (107 MB)"):
            maven.fetch({ARTIFACT: SHA256}, folder)
        with going_on(say, "unpacking Elasticsearch"):
            (archive,) = folder.glob("*.zip")
            _unpack(archive, folder)
            archive.unlink()

    return cache.made(_NAME, make, say)


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            info.filename = info.filename.partition("/")[2]  # without the folder that holds it all
            if info.filename:
                place = Path(file.extract(info, folder))
                # readable by the account that it runs as, and programs stay programs
                program = place.is_dir() or (info.external_attr >> 16) & 0o100
                place.chmod(0o755 if program else 0o644)


class User(NamedTuple):
    """Somebody whom a server with its security on knows (file realm), with a role of the same name."""

    password: str
    #: Rights on the cluster, and on the indices of a pattern; all where there are none of either.
    cluster: Sequence[str] = ()
    indices: Mapping[str, Sequence[str]] = {}


def settings(name: str, folder: Path, port: int, transport: int, secure: bool = False) -> dict[str, str]:
    """What stands in its elasticsearch.yml. A setting that it does not know ends it at the start."""
    return {
        "cluster.name": "daqcluster",
        "node.name": name,
        "path.data": f"{folder}/data",
        "path.logs": f"{folder}/logs",
        "http.host": "127.0.0.1",
        "transport.host": "127.0.0.1",
        "http.port": str(port),
        "transport.port": str(transport),
        "discovery.type": "single-node",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        # it would want native code that this build lacks
        "xpack.ml.enabled": "false",
        # of users and their rights only: all of it is on loopback
        "xpack.security.enabled": str(secure).lower(),
        **(
            dict.fromkeys(("xpack.security.http.ssl.enabled", "xpack.security.transport.ssl.enabled"), "false")
            if secure
            else {}
        ),
    }


def know(config: Path, users: Mapping[str, User]) -> None:
    """The files of its file realm; passwords as `bin/elasticsearch-users` hashes them, without a JVM for each."""
    known = []
    for name, user in users.items():
        salt = os.urandom(32)
        digest = hashlib.pbkdf2_hmac("sha512", user.password.encode(), salt, 1000, 32)
        known.append(f"{name}:{{PBKDF2}}1000${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}")
    for file, text in {"users": "\n".join(known) + "\n", **rights(users)}.items():
        path = config / file
        path.write_text(text)
        path.chmod(0o600)


def rights(users: Mapping[str, User]) -> dict[str, str]:
    """Those of the files that say who may what: the same for the same users, whatever their passwords."""
    roles, given = [], []
    for name, user in users.items():
        role = name if user.cluster or user.indices else "superuser"
        roles.append(f"{role}:{name}")
        if role == name:
            indices = [{"names": [names], "privileges": list(some)} for names, some in user.indices.items()]
            # it wants each role to begin at a line's begin
            given += [f"{name}:", f"  cluster: {json.dumps(list(user.cluster))}", f"  indices: {json.dumps(indices)}"]
    return {"users_roles": "\n".join(roles) + "\n", "roles.yml": "\n".join(given) + "\n"}


def command(
    home: Path, folder: Path, values: Mapping[str, str], heap: str, jvm: str, users: Mapping[str, User] = {}
) -> tuple[list[str], dict[str, str]]:
    """The command and its environment; ``folder`` gets configuration, data and logs and the right owner."""
    config = folder / "config"
    shutil.copytree(home / "config", config, dirs_exist_ok=True)
    (config / "elasticsearch.yml").write_text("".join(f"{name}: {value}\n" for name, value in values.items()))
    if users:
        know(config, users)
    for part in ("data", "logs", "tmp"):
        (folder / part).mkdir(exist_ok=True)
    argv = elasticsearch_start.argv(home, folder, values, heap, jvm)
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        closed = next((place for place in home.parents if not place.stat().st_mode & 0o001), None)
        if closed is not None:
            raise ClusterError(
                f"Elasticsearch runs as {ACCOUNT}, who can't pass {closed}: set DAQSCHED_CACHE to another place"
            )
        for place in [folder, *folder.rglob("*")]:
            os.chown(place, account.pw_uid, account.pw_gid)
        argv = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *argv]
    env = {"ES_PATH_CONF": str(config), "LIBFFI_TMPDIR": str(folder / "tmp"), "HOME": str(folder)}
    return argv, env


def well(port: int) -> bool:
    """Whether it answers, to somebody whom it knows."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/_cluster/health")
        answer = connection.getresponse()
        body = answer.read()
        return answer.status == 401 or (answer.status == 200 and json.loads(body)["status"] in ("green", "yellow"))
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False
    finally:
        connection.close()


def check_answers(url: str) -> None:
    """Raise `ClusterError` where nothing speaks HTTP at the URL of somebody's own server; it may well want a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClusterError(f"{url!r} is not the URL of an Elasticsearch: http://HOST:PORT is")
    try:
        if parts.scheme == "https":
            # who it is, is for those to check who send it something
            context = ssl._create_unverified_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=10.0, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10.0)
        connection.request("GET", f"{parts.path.rstrip('/')}/_cluster/health")
        connection.getresponse().read()
        connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        raise ClusterError(f"no Elasticsearch answers at {shown}: {error}; is it up?") from error

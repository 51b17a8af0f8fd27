"""Starts the server of Elasticsearch as `bin/elasticsearch` does, without that: it is a JVM too, and takes 3.5 s of a core.

What it says to the server: the options of the JVM, and on stdin, in Elasticsearch's own form, which settings and folders are
the server's. After that the server ends when its stdin does; so that is a pipe which it holds open itself.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Mapping

from daqcluster import java

#: Opens the pipe to read and to write, says into it what is to be said, and becomes the server.
_BEGIN = 'exec <>"$1" && cat "$2" >&0 && shift 2 && exec "$@"'

#: What it gives every server (`SystemJvmOptions`), and what stands in jvm.options that is not of the heap and its collector.
_OPTIONS = """
    -Des.networkaddress.cache.ttl=60 -Des.networkaddress.cache.negative.ttl=10 -XX:+AlwaysPreTouch -Xss1m -Djava.awt.headless=true
    -Dfile.encoding=UTF-8 -Djna.nosys=true -XX:-OmitStackTraceInFastThrow -Dio.netty.noUnsafe=true
    -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 -Dlog4j.shutdownHookEnabled=false
    -Dlog4j2.disable.jmx=true -Dlog4j2.formatMsgNoLookups=true -Des.distribution.type=zip -Des.java.type=ES_JAVA_HOME
    -XX:+EnableDynamicAgentLoading -Djdk.attach.allowAttachSelf=true -XX:+ExitOnOutOfMemoryError
    -Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1
    --add-modules=jdk.net --add-modules=jdk.management.agent --add-modules=ALL-MODULE-PATH
""".split()

#: Through which classes plugins are watched, and whose modules ask through them.
_BRIDGE = "org.elasticsearch.entitlement.bridge"
_ASKING = "org.elasticsearch.entitlement,java.logging,java.net.http,java.naming,jdk.net,jdk.zipfs,jdk.management.agent"

#: With users, it would write all its built-in roles into their index at each start: they are there without that.
_NO_COPIES_OF_ROLES = "-Des.queryable_built_in_roles_enabled=false"


def argv(home: Path, folder: Path, values: Mapping[str, str], heap: str, jvm: str) -> list[str]:
    """The command; what it reads is written into ``folder``, beside the configuration that is there already."""
    pipe, said = folder / "stdin", folder / "said"
    os.mkfifo(pipe, 0o600)
    said.write_bytes(_said(folder, {**values, "path.home": str(home)}))
    where = [
        f"-Des.path.home={home}",
        f"-Djava.io.tmpdir={folder}/tmp",
        f"-XX:ErrorFile={folder}/logs/hs_err_pid%p.log",
    ]
    memory = [f"-Xms{heap}", f"-Xmx{heap}", java.NO_PERFORMANCE_FILE, _NO_COPIES_OF_ROLES]
    options = [
        *_OPTIONS,
        *_of_java(java.version()),
        *_entitlements(home, java.version()),
        *where,
        *memory,
        *jvm.split(),
    ]
    server = [
        "--module-path",
        str(home / "lib"),
        "-m",
        "org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch",
    ]
    return [
        "sh",
        "-c",
        _BEGIN,
        "elasticsearch",
        str(pipe),
        str(said),
        f"{java.java_home()}/bin/java",
        *options,
        *server,
    ]


def _of_java(version: int) -> list[str]:
    """What it gives by the version of Java."""
    return [
        f"-Djava.locale.providers={'CLDR' if version >= 23 else 'SPI,COMPAT'}",
        f"-Dorg.apache.lucene.vectorization.upperJavaFeatureVersion={version}",
        *(["--enable-native-access=org.elasticsearch.nativeaccess,org.apache.lucene.core"] if version >= 21 else []),
    ]


def _entitlements(home: Path, version: int) -> list[str]:
    """What watches the plugins asks through classes that each class of Java must see. `bin/elasticsearch` patches them into
    java.base; such a JVM uses nothing of the archive of Java's classes, and parses each, for 2 s of a core. Beside java.base
    they are as good, which was tried with this version of Java."""
    (bridge,) = (home / "lib" / "entitlement-bridge").glob("*.jar")
    if version != java.NEEDED:
        return [f"--patch-module=java.base={bridge}", f"--add-exports=java.base/{_BRIDGE}={_ASKING}"]
    return [
        f"-Xbootclasspath/a:{bridge}",
        "--add-reads=org.elasticsearch.entitlement=ALL-UNNAMED",
        "--add-exports=org.elasticsearch.entitlement/org.elasticsearch.entitlement.initialization=ALL-UNNAMED",
    ]


def _said(folder: Path, values: Mapping[str, str]) -> bytes:
    """`ServerArgs`: not in the background, not quiet, no file for the pid; no keystore's secrets; settings; configuration; logs."""
    keystore = _text("org.elasticsearch.common.settings.KeyStoreWrapper") + struct.pack(
        ">i????", 7, False, False, False, False
    )
    settings = b"".join(_text(name) + b"\0" + _text(value) for name, value in values.items())
    return b"\0\0\0" + keystore + _number(len(values)) + settings + _text(f"{folder}/config") + _text(f"{folder}/logs")


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _number(value >> 7)


def _text(text: str) -> bytes:
    """Counted in Java's characters, of which these texts have no other than Python's."""
    return _number(len(text)) + text.encode()

"""Mesos out of the Python package index: fetch libmesos by name and digest, build the three launchers around it.

The distribution `mesos.scheduler` carries all of libmesos, master and agent included, in one file. What it misses of its
own time (OpenSSL 1.0, its libcurl) is never called while SSL is off and no URI is fetched, so libraries stand in whose
functions end the process with their name.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections import defaultdict
from pathlib import Path

from daqcluster import cache
from daqcluster.errors import ClusterError
from daqcluster.maven import check_digest
from daqcluster.progress import Say, going_on

VERSION = "1.11.0"
PROJECT = "mesos.scheduler"
FILE = f"mesos.scheduler-{VERSION}.linux-x86_64.tar.gz"
SHA256 = "1d376f20bca6d05ee8b90c1c123a452b28753497ccc2f1c80ea3ac94c12e8f6e"
MEMBER = "./usr/local/lib/python2.7/dist-packages/mesos/scheduler/_scheduler.so"

SOURCES = Path(__file__).resolve().parent / "sources"
LAUNCHERS = ("mesos-master", "mesos-agent", "mesos-containerizer")

#: Library names that libmesos asks for and today's systems lack -> the prefix of their version nodes.
_ABSENT = {"libssl.so.1.0.0": "OPENSSL", "libcrypto.so.1.0.0": "OPENSSL", "libcurl.so.4": "CURL"}
_NODES = {"OPENSSL": ("OPENSSL_1.0.0", "OPENSSL_1.0.1", "OPENSSL_1.0.2"), "CURL": ("CURL_OPENSSL_3",)}

#: Functions that are called all the same: the tokens of executors are signed with them. Any OpenSSL of this machine has them.
_FORWARDED = """
#include <dlfcn.h>
static void *found(const char *name) {
  static const char *const names[] = {"libcrypto.so.3", "libcrypto.so.1.1"};
  for (int i = 0; i < 2; i++) {
    void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library != 0) return dlsym(library, name);
  }
  puts("libcrypto.so.3 is not there");
  abort();
}
const void *EVP_sha256(void) { return ((const void *(*)(void))found("EVP_sha256"))(); }
unsigned char *HMAC(const void *kind, const void *key, int size, const unsigned char *text, size_t length,
                    unsigned char *made, unsigned *made_length) {
  typedef unsigned char *(*hmac)(const void *, const void *, int, const unsigned char *, size_t, unsigned char *, unsigned *);
  return ((hmac)found("HMAC"))(kind, key, size, text, length, made, made_length);
}
"""
_CALLED = ("EVP_sha256", "HMAC")

#: What the Python extension in the file wants as data; its functions are not needed and stay unresolved.
_PYTHON = "char _Py_NoneStruct[256]; void *PyExc_Exception, *PyExc_TypeError;\n"

#: A program or library -> the Debian package that has it.
_TOOLS = {"g++": "g++", "gcc": "gcc", "objdump": "binutils"}
_LIBRARIES = {"libsvn_delta-1.so.1": "libsvn1", "libapr-1.so.0": "libapr1", "libsasl2.so.2": "libsasl2-2"}


def _name() -> str:
    """Of the folder in the cache: another one for other sources or another way of building them."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for source in sorted(SOURCES.glob("*.[ch]pp")):
        digest.update(source.read_bytes())
    return f"mesos-{VERSION}-{digest.hexdigest()[:8]}"


def lacks() -> set[str]:
    """The Debian packages that must be installed before it can be built."""
    if cache.has(_name()):
        return set()
    return {package for tool, package in _TOOLS.items() if shutil.which(tool) is None}


def ready(say: Say) -> Path:
    """The folder with ``mesos-master``, ``mesos-agent`` and ``libexec/mesos-containerizer``, made if it is not there."""
    return cache.made(_name(), lambda folder: _build(folder, say), say)


def _build(folder: Path, say: Say) -> None:
    if platform.machine() != "x86_64":
        raise ClusterError(f"there is a Mesos for x86_64 only, this machine is {platform.machine()}; use another one")
    fetched = _library(say)
    (folder / "lib").mkdir()
    (folder / "libexec").mkdir()
    library = folder / "lib" / "libmesos.so"
    os.link(fetched, library)
    _check_libraries(library)
    with going_on(say, "building the launchers of Mesos"):
        _stand_ins(library)
        _compile(folder / "lib" / "libpython-data.so", _PYTHON)
        for name in LAUNCHERS:
            _launcher(folder, name)


def _launcher(folder: Path, name: str) -> None:
    place = folder / "libexec" / name if name == "mesos-containerizer" else folder / name
    origin = "$ORIGIN/../lib" if place.parent.name == "libexec" else "$ORIGIN/lib"
    source = SOURCES / f"{name.partition('-')[2]}.cpp"
    command = ["g++", "-O1", "-Wall", "-Werror", "-std=c++17", "-o", str(place), str(source)]
    # libmesos calls hundreds of functions of Python that nobody will call: leave them open, bind lazily
    command += [f"-L{folder / 'lib'}", f"-Wl,-rpath,{origin}", "-Wl,--unresolved-symbols=ignore-all", "-Wl,-z,lazy"]
    command += ["-Wl,--no-as-needed", "-l:libpython-data.so", "-l:libmesos.so", *(f"-l:{absent}" for absent in _ABSENT)]
    _run(command)


def _library(say: Say) -> Path:
    """libmesos itself, kept apart from what is built so that a change of a source fetches nothing."""

    def make(folder: Path) -> None:
        # a quarter of a second that is needed once
        from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple

        archive = folder / FILE
        with going_on(say, f"fetching Mesos {VERSION} (27 MB)"):
            try:
                # the index that pip uses, where the user named one
                with PyPISimple(os.environ.get("PIP_INDEX_URL") or PYPI_SIMPLE_ENDPOINT) as index:
                    packages = index.get_project_page(PROJECT).packages
                    package = next((found for found in packages if found.filename == FILE), None)
                    if package is None:
                        raise ClusterError(f"the Python package index has no {FILE} any more")
                    index.download_package(package, archive, verify=False, timeout=120)
            except (OSError, NoSuchProjectError) as error:  # requests' exceptions are OSErrors
                raise ClusterError(
                    f"{FILE} can't be fetched: {error}; is the Python package index reachable?"
                ) from error
        check_digest(archive, FILE, SHA256)
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MEMBER)
            assert member is not None, f"{FILE} has no {MEMBER}, and yet the digest is right"
            with open(folder / "libmesos.so", "wb") as file:
                shutil.copyfileobj(member, file)
        archive.unlink()

    return cache.made(f"libmesos-{VERSION}", make, say) / "libmesos.so"


def _check_libraries(library: Path) -> None:
    known = _run(["ldd", str(library)])
    missing = sorted(
        {package for name, package in _LIBRARIES.items() if re.search(rf"{re.escape(name)} => not found", known)}
    )
    if missing:
        raise ClusterError(f"Mesos lacks libraries of this machine: apt-get install {' '.join(missing)}")


def _stand_ins(library: Path) -> None:
    wanted: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for line in _run(["objdump", "-T", str(library)]).splitlines():
        found = re.search(r"\*UND\*.*\((\w+?)_([\w.]+)\)\s+(\S+)$", line)
        if found is not None and found.group(1) in _NODES:
            wanted[found.group(1)][f"{found.group(1)}_{found.group(2)}"].append(found.group(3))
    for name, family in _ABSENT.items():
        nodes = ((node, wanted[family].get(node, [])) for node in _NODES[family])
        functions, versions = [], []
        for node, names in nodes:
            exported = f"global: {'; '.join(names)}; " if names else ""
            versions.append(f"{node} {{ {exported}}};\n")
            absent = (one for one in names if one not in _CALLED)
            functions += [f'void {n}(void) {{ puts("{n} is not there"); abort(); }}\n' for n in absent]
        script = library.parent / f"{name}.map"
        script.write_text("".join(versions))
        functions += [_FORWARDED] if family == "OPENSSL" else []
        code = "#include <stdio.h>\n#include <stdlib.h>\n" + "".join(functions)
        _compile(
            library.parent / name, code, f"-Wl,-soname,{name}", f"-Wl,--version-script={script}", "-fno-builtin", "-ldl"
        )
        script.unlink()


def _compile(place: Path, code: str, *options: str) -> None:
    _run(["gcc", "-w", "-shared", "-fPIC", "-o", str(place), *options, "-x", "c", "-"], code)


def _run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command[:1])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout

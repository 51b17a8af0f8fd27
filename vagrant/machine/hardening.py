"""Which options of a unit take effect on this machine, under systemd as its first process: each is looked at from inside.

    python3 hardening.py UNIT-FILE [ACCOUNT]

It starts a unit with the same options whose program is this file again, and prints a line for each: `applied`, `not applied`, or
`not seen` for what can't be looked at like this. As root. Where the unit names no account, options bind root. Nothing of the unit's
own service is touched: folders have other names.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
NAME = "daqsched-hardening"

#: What is about how a service is started, not what it may do.
_OTHER = (
    "ExecStart",
    "EnvironmentFile",
    "Environment",
    "Type",
    "Restart",
    "RestartSec",
    "RestartPreventExitStatus",
    "TimeoutStopSec",
    "TimeoutStartSec",
    "WatchdogSec",
    "FileDescriptorStoreMax",
    "SuccessExitStatus",
    "WorkingDirectory",
)
_PLACES = ("StateDirectory", "RuntimeDirectory", "ReadWritePaths")
#: What an option means nothing without.
_WITH = {
    "StateDirectoryMode": ["StateDirectory"],
    "RuntimeDirectoryMode": ["RuntimeDirectory"],
    "SystemCallErrorNumber": ["SystemCallFilter"],
    "SystemCallFilter": ["SystemCallErrorNumber"],  # or the program is killed
    "ProtectProc": ["User"],  # root may look
    "ReadWritePaths": ["StateDirectory", "ProtectSystem"],
}


def call(function: Callable[[], object]) -> str:
    """What became of it: `done`, or the error's name."""
    try:
        function()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "done"


def kernel(number: int, *arguments: int) -> str:
    """The same of a system call (x86-64)."""
    ctypes.set_errno(0)
    if LIBC.syscall(number, *arguments) >= 0:
        return "done"
    return errno.errorcode.get(ctypes.get_errno(), "?")


def status(word: str) -> str:
    return str(re.findall(rf"^{word}:\s*(.*)$", Path("/proc/self/status").read_text(), re.MULTILINE)[0])


def mounted(place: str) -> str:
    """How what a place is on is mounted, as the last mount above it says."""
    best = ("", "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if (place == words[4] or place.startswith(words[4].rstrip("/") + "/")) and len(words[4]) >= len(best[0]):
            best = (words[4], words[5])
    return best[1].split(",")[0]


def _group(kind: str) -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if kind in names.split(",") or (kind == "" and names == ""):
            return Path("/sys/fs/cgroup") / kind / path.lstrip("/")
    return Path("/nonexistent")


def written(place: str) -> str:
    return call(lambda: os.close(os.open(f"{place}/{NAME}-probe", os.O_CREAT | os.O_WRONLY)))


def there(path: str) -> str:
    return f"{path} {'there' if os.path.exists(path) else 'absent'}"


def listed(path: str) -> str:
    return call(lambda: os.listdir(path))


def opened(family: int) -> str:
    return call(lambda: socket.socket(family, socket.SOCK_RAW))


def setid() -> str:
    with tempfile.NamedTemporaryFile(dir=os.environ.get("STATE_DIRECTORY", "/tmp")) as file:
        return call(lambda: os.chmod(file.name, 0o4755))


def memory() -> str:
    for place in (_group("memory") / "memory.limit_in_bytes", _group("") / "memory.max"):
        if place.exists():
            return place.read_text().strip()
    return "no such group"


def accounts() -> int:
    """How many it can tell from one another."""
    return sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())


def folder(variable: str) -> str:
    return f"{written(os.environ[variable])}, mode {os.stat(os.environ[variable]).st_mode & 0o777:o}"


def sys_tunables() -> str:
    # without the rest of /proc it is not there at all
    return f"{mounted('/proc/sys') if os.path.exists('/proc/sys') else 'absent'}, /sys {mounted('/sys')}"


#: Numbers of system calls (x86-64), and flags.
CLOCK_SETTIME, SETHOSTNAME, SYSLOG, INIT_MODULE, UNSHARE, PERSONALITY, MOUNT = 227, 170, 103, 175, 272, 135, 165
NEWUTS, LINUX32 = 0x04000000, 0x0008
REALTIME = os.sched_param(1)
ALL_ACCOUNTS = (1 << 32) - 1

#: option -> what is seen, and a pattern of what should be; {value} is the option's.
LOOKS: dict[str, tuple[Callable[[], str], str]] = {
    "User": (lambda: str(os.geteuid()), "[1-9]"),
    "Group": (lambda: str(os.getegid()), "[1-9]"),
    "SupplementaryGroups": (lambda: f"{len(set(os.getgroups()) - {os.getegid()})} more", "[1-9]"),
    "CapabilityBoundingSet": (lambda: f"{bin(int(status('CapBnd'), 16)).count('1')} of them", "{count} "),
    "AmbientCapabilities": (lambda: status("CapAmb"), "0+$"),
    "NoNewPrivileges": (lambda: status("NoNewPrivs"), "1"),
    "ProtectSystem": (
        lambda: ", ".join(f"{at} {written(at)}" for at in ("/usr", "/etc", "/var")),
        "/usr EROFS, /etc EROFS, /var EROFS",
    ),
    "ReadWritePaths": (lambda: mounted(f"/var/lib/{NAME}"), "rw"),
    "ProtectHome": (lambda: f"/home {mounted('/home')}, {listed('/home')}", "/home ro"),
    "PrivateTmp": (lambda: f"{len(os.listdir('/tmp'))} files in /tmp", "0 "),
    "PrivateDevices": (lambda: there("/dev/fuse"), ".* absent"),
    "PrivateUsers": (lambda: "yes" if accounts() < ALL_ACCOUNTS else "no", "{value}$"),
    "PrivateMounts": (
        lambda: "others" if os.readlink("/proc/self/ns/mnt") != os.environ["OUTSIDE"] else "all",
        "others",
    ),
    "RemoveIPC": (lambda: "", "gone"),
    "ProtectClock": (lambda: f"clock_settime {kernel(CLOCK_SETTIME, 0, 0)}", ".*EPERM"),
    "ProtectHostname": (lambda: f"sethostname {kernel(SETHOSTNAME, 0, 1)}", ".*EPERM"),
    "ProtectKernelLogs": (lambda: f"syslog {kernel(SYSLOG, 10, 0, 0)}", ".*EPERM"),
    "ProtectKernelModules": (lambda: f"init_module {kernel(INIT_MODULE, 0, 0, 0)}", ".*EPERM"),
    "ProtectKernelTunables": (lambda: f"/proc/sys {sys_tunables()}", "(?!.*rw)"),
    "ProtectControlGroups": (
        lambda: ", ".join(mounted(f"/sys/fs/cgroup/{at}") for at in os.listdir("/sys/fs/cgroup")),
        "(?!.*rw)",
    ),
    "ProtectProc": (lambda: there("/proc/1"), ".* absent"),
    "ProcSubset": (lambda: there("/proc/meminfo"), ".* absent"),
    "RestrictAddressFamilies": (lambda: f"AF_NETLINK {opened(socket.AF_NETLINK)}", ".*EAFNOSUPPORT"),
    "RestrictNamespaces": (lambda: f"unshare {kernel(UNSHARE, NEWUTS)}", ".*EPERM"),
    "RestrictRealtime": (
        lambda: f"SCHED_FIFO {call(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, REALTIME))}",
        ".*EPERM",
    ),
    "RestrictSUIDSGID": (lambda: f"chmod u+s {setid()}", ".*EPERM"),
    "LockPersonality": (lambda: f"personality {kernel(PERSONALITY, LINUX32)}", ".*EPERM"),
    "SystemCallFilter": (lambda: f"mount {kernel(MOUNT, 0, 0, 0, 0, 0)}", ".*EPERM"),
    "SystemCallErrorNumber": (lambda: f"mount {kernel(MOUNT, 0, 0, 0, 0, 0)}", ".*EPERM"),
    "UMask": (lambda: f"{os.umask(0):04o}", "{value}$"),
    "LimitNOFILE": (lambda: str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]), "{value}$"),
    "MemoryMax": (memory, "{bytes}$"),
    "Nice": (lambda: str(os.nice(0)), "{value}$"),
    "StateDirectory": (lambda: folder("STATE_DIRECTORY"), "done"),
    "StateDirectoryMode": (lambda: folder("STATE_DIRECTORY"), "done, mode {mode}$"),
    "RuntimeDirectory": (lambda: folder("RUNTIME_DIRECTORY"), "done"),
    "RuntimeDirectoryMode": (lambda: folder("RUNTIME_DIRECTORY"), "done, mode {mode}$"),
}


def _left_segment() -> str:
    """What becomes of shared memory of an account of which nothing else runs, when its unit has ended."""
    code = "import ctypes; ctypes.CDLL(None).shmget(0x64617173, 4096, 0o1600)"
    argv = [
        "systemd-run",
        "--quiet",
        "--collect",
        "--wait",
        f"--unit={NAME}-ipc",
        "--property=User=games",
        "--property=RemoveIPC=yes",
    ]
    subprocess.run([*argv, sys.executable, "-c", code], check=True, timeout=60)
    there = "0x64617173" in subprocess.run(["ipcs", "-m"], capture_output=True, text=True, timeout=20).stdout
    return "left" if there else "gone"


def inside() -> None:
    """In the unit: what is seen, as JSON."""
    found = {}
    for option in json.loads(os.environ["OPTIONS"]):
        if option in LOOKS:
            try:
                found[option] = LOOKS[option][0]()
            except Exception as error:  # an option may take away what the look needs
                found[option] = f"{type(error).__name__}: {error}"
    os.write(1, json.dumps(found).encode() + b"\n")


def look(options: dict[str, list[str]], wanted: list[str]) -> dict[str, str]:
    """What is seen of the wanted ones in a unit with these options."""
    argv = ["systemd-run", "--quiet", "--collect", "--pipe", "--wait", f"--unit={NAME}", "--service-type=exec"]
    for option, values in options.items():
        for value in values:
            if option in _PLACES:
                value = re.sub(r"(^|(?<=^/var/lib/))daqsched$", NAME, value)
            argv.append(f"--property={option}={value}")
    argv += [f"--setenv=OPTIONS={json.dumps(wanted)}", f"--setenv=OUTSIDE={os.readlink('/proc/1/ns/mnt')}"]
    done = subprocess.run(
        [*argv, sys.executable, os.path.abspath(__file__), "--inside"], capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        return dict.fromkeys(wanted, f"the unit ends with {done.returncode}")
    seen: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return seen


def fits(option: str, seen: str, value: str) -> bool:
    """Whether this is what the option is for."""
    size = int(value[:-1]) << 20 if re.fullmatch(r"\d+M", value) else 0
    pattern = LOOKS[option][1].format(value=value, count=len(value.split()), bytes=size, mode=value.lstrip("0"))
    return re.match(pattern, seen) is not None


def main(path: str) -> None:
    """Each option alone, beside a unit without any; then all at once."""
    section = re.search(r"^\[Service\]\n(.*?)(?=^\[|\Z)", Path(path).read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None, f"{path} has no [Service]"
    options: dict[str, list[str]] = {}
    for line in section.group(1).splitlines():
        option, equals, value = line.partition("=")
        if equals and not line.startswith("#") and option not in _OTHER:
            options.setdefault(option, []).append(value)
    without = look({}, list(options))
    together = look({option: values for option, values in options.items() if option != "RemoveIPC"}, list(options))
    for option, values in options.items():
        if option not in LOOKS:
            verdict, seen = "not seen", ""
        elif option == "RemoveIPC":
            seen = _left_segment()
            verdict = "applied" if seen == "gone" else "NOT APPLIED"
        else:
            alone = {name: options[name] for name in (*_WITH.get(option, ()), option) if name in options}
            seen = look(alone, [option]).get(option, "")
            well, before = fits(option, seen, values[0]), fits(option, without.get(option, ""), values[0])
            verdict = "NOT APPLIED" if not well else "so anyway" if before else "applied"
            if well and not fits(option, together[option], values[0]):
                verdict, seen = "only alone", together[option]
            seen = f"{seen}   (without: {without.get(option, '')})"
        print(f"{option + '=' + ' '.join(values):45.45}  {verdict:11}  {seen}")


if __name__ == "__main__":
    inside() if sys.argv[1] == "--inside" else main(sys.argv[1])

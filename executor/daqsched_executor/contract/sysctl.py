"""What a machine's kernel should refuse to all accounts: sysctl settings that distributions have on and containers may not."""

from __future__ import annotations

from collections.abc import Callable

#: proc_sys_fs(5): links that others planted in folders like /tmp are not followed, and nobody makes a hard link to a file
#: that is neither his nor writable for him. Without them an account may lay root's files among its own log files.
WANTED = ("protected_symlinks", "protected_hardlinks")


def unprotected(read: Callable[[str], str]) -> str:
    """One sentence on what is off, with the way out; empty where all is on, or can't be seen. ``read`` gives a file's text
    or raises OSError."""
    off = []
    for name in WANTED:
        try:
            if read(f"/proc/sys/fs/{name}").strip() == "0":
                off.append(f"fs.{name}")
        except OSError:
            continue
    if not off:
        return ""
    settings = " ".join(f"{name}=1" for name in off)
    return (
        f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} off on this machine, so that accounts can lay links to files "
        f"of others where programs of root look; as root: sysctl -w {settings}, and the same in /etc/sysctl.d"
    )

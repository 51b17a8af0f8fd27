"""Whether what starts the machines is there."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from typing import Mapping

from daqcluster.errors import ClusterError

#: Vagrant starts a Ruby, which is slow on a busy machine.
PLUGINS_S = 60.0


def check(provider: str, environ: Mapping[str, str]) -> None:
    """Raises `ClusterError` where Vagrant could not use the provider, before anything is made or written down for it.

    ``environ``: with which Vagrant is called. Where Vagrant itself is not there yet, its plugins are not looked for.
    """
    if provider == "virtualbox" and not shutil.which("VBoxManage"):
        raise ClusterError(
            f"{_said(provider)} needs VirtualBox, and there is no VBoxManage here: install VirtualBox, {_ELSE}"
        )
    if provider == "libvirt" and shutil.which("vagrant"):
        with tempfile.TemporaryDirectory() as home:  # nothing is left of the question, where none is named
            given = {"VAGRANT_HOME": home, **environ, "VAGRANT_CWD": home, "VAGRANT_CHECKPOINT_DISABLE": "1"}
            done = subprocess.run(
                ["vagrant", "plugin", "list"],
                env=given, capture_output=True, text=True, timeout=PLUGINS_S, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        if "vagrant-libvirt" not in done.stdout:
            raise ClusterError(
                f"{_said(provider)} needs Vagrant's plugin of that name: apt-get install vagrant-libvirt, {_ELSE}"
            )


_ELSE = "or leave the variable out, for machines as containers"


def _said(provider: str) -> str:
    return f"VAGRANT_DEFAULT_PROVIDER={provider}"

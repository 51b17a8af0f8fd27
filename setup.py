"""What setup.cfg can't say: where the checkout's own `http-parser` lies (docs/design/pymesos.md)."""

import os
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
# No dash in the folder's name: pip takes `http-parser` for name and version, and installs a wheel out of its cache
# although the source has changed.
SHIM = HERE / "compat" / "http_parser"

config = ConfigParser()
config.read(HERE / "setup.cfg")
requires = config["options"]["install_requires"].split("\n")

# A release names the distribution and ships its wheel beside ours: no path of the builder's machine leaves it.
release = os.environ.get("DAQSCHED_RELEASE") == "1" or not SHIM.is_dir()
requires.append("http-parser>=0.9.0.post1" if release else f"http-parser @ {SHIM.as_uri()}")

# setuptools takes one or the other, so what setup.cfg lists is handed over with it
setup(install_requires=[line for line in requires if line])

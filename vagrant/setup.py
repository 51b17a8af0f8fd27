"""What setup.cfg can't say: the version, which is the checkout's."""

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent / "executor" / "daqsched_executor" / "__init__.py"

# a source distribution has no checkout around it, and knows its version
if CHECKOUT.is_file():
    found = re.search(r'^__version__ = "(.+)"$', CHECKOUT.read_text(), re.MULTILINE)
else:
    found = re.search(r"^Version: (.+)$", (HERE / "PKG-INFO").read_text(), re.MULTILINE)

setup(version=found[1])

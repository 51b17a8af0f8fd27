"""Everything declarative is in setup.cfg; see docs/design/pymesos.md for what has to be computed here."""

from setuptools import setup

setup()

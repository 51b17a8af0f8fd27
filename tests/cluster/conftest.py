"""The cluster that the tests share: real Mesos with three agents and a real Elasticsearch, taken down whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import secured
from chromium import Browser, Page, browser
from daqcluster import Cluster
from leftovers import forget_streams, left, stored
from waiting import until

#: The cluster that is shared, once there is one, and what its Elasticsearch had of itself.
_SHARED = pytest.StashKey[tuple[Cluster, frozenset[str]]]()


def _say(sentence: str) -> None:
    sys.stderr.write(f"\n[cluster] {sentence}\n")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Agents hlt01 to hlt03, a master and Elasticsearch. A test that kills a member starts it again."""
    made = Cluster(tmp_path_factory.mktemp("cluster") / "c", _say)
    try:
        made.up(agents=3, elasticsearch_=True)
        pytestconfig.stash[_SHARED] = made, stored(made)
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An Elasticsearch alone, with its security on: `secured`, empty."""
    made = Cluster(tmp_path_factory.mktemp("secured") / "c", _say)
    try:
        made.up(agents=0, elasticsearch_=True, users=secured.users())
        until(lambda: secured.known(made), "the administrator is known", 60)
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def empty(guarded: Cluster) -> Cluster:
    """It, for a file of tests: nothing is in it that another one stored."""
    secured.clear(guarded)
    return guarded


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(pytestconfig: pytest.Config) -> Iterator[None]:
    """A module that leaves something on the shared cluster fails itself, and not the next one on its worker."""
    yield
    if _SHARED not in pytestconfig.stash:
        return
    shared, before = pytestconfig.stash[_SHARED]
    found: list[str] = []

    def clean() -> bool:
        found[:] = left(shared, before)
        return not found

    try:
        until(clean, "what was told to end has ended", 60.0)
    except AssertionError:
        pytest.fail("on the shared cluster is left: " + "; ".join(found), pytrace=False)
    finally:
        pytestconfig.stash[_SHARED] = shared, stored(shared) | before  # told once
    forget_streams(shared)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that believes the certificates of tests."""
    with browser(tmp_path_factory.mktemp("chromium") / "profile", "--ignore-certificate-errors") as made:
        yield made


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A tab in which nobody is logged in."""
    made = chromium.page()
    yield made
    made.call("Network.clearBrowserCookies")
    made.close()


@pytest.fixture
def fresh_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Bring a cluster of one's own up: ``fresh_cluster(agents=1, zookeeper_=True)``."""
    made: list[Cluster] = []

    def up(**options: Any) -> Cluster:
        one = Cluster(tmp_path / f"cluster{len(made)}", _say)
        made.append(one)
        one.up(**options)
        return one

    try:
        yield up
    finally:
        for one in made:
            one.down()

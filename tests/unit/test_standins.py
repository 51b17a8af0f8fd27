"""What stands for a module in an executor does what the real one does, as far as it is used; the rest is the real one's."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from daqsched_executor import standins
from daqsched_executor.machine.kernel import signal_name

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=20,
)


def fresh(code: str) -> str:
    """What it prints in an interpreter of its own, with the stand-ins in place, and no `site`."""
    script = f"import sys; sys.path[:] = {sys.path!r}\nfrom daqsched_executor.lean import keep_out; keep_out()\n{code}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@given(VALUES, some.booleans(), some.sampled_from([None, (",", ":")]))
def test_json_is_written_as_the_library_writes_it(value: Any, sort: bool, separators: Any) -> None:
    """To the letter: digests are made of it."""
    options = {"sort_keys": sort, "separators": separators}
    assert standins.dumps(value, **options) == json.dumps(value, **options)


@pytest.mark.parametrize("value", [{2: 2, None: 3, True: 4, 1.5: "é"}, (1, 2), {"a": (1, [])}, 1, "\ud800", ""])
def test_json_of_other_keys_and_values_is_the_same_too(value: Any) -> None:
    """Not all of it is text."""
    assert standins.dumps(value) == json.dumps(value)


def told(function: Any, *args: Any, **options: Any) -> Any:
    """What it returns, or the kind and the words of its error."""
    try:
        found = function(*args, **options)
        return "nan" if isinstance(found, float) and math.isnan(found) else repr(found)
    except Exception as error:
        return type(error).__name__, str(error)


@given(VALUES.map(json.dumps) | some.text() | some.binary(max_size=20))
@pytest.mark.parametrize("around", ["{}", " {}\n", "{} x", '{{"a": {}, "a": NaN}}', "\ufeff{}"])
def test_json_is_read_as_the_library_reads_it(around: str, text: Any) -> None:
    """With the same error where it is none; also bytes in another encoding."""
    whole = around.format(text) if isinstance(text, str) else text
    assert told(standins.loads, whole) == told(json.loads, whole)
    if isinstance(whole, str):
        for encoding in ("utf-8", "utf-16"):
            data = whole.encode(encoding, "surrogatepass")
            assert told(standins.loads, data) == told(json.loads, data)


@pytest.mark.parametrize("value", [object(), {"a": object()}, {(1, 2): 3}, [b"x"]])
def test_what_is_no_json_is_refused_in_the_same_words(value: Any) -> None:
    """A mistake of ours is told as it would be."""
    assert told(standins.dumps, value) == told(json.dumps, value)


CALLS = """
import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
print(libc.prctl(36, ctypes.c_ulong(1), 0, 0, 0), libc.prctl(-1, ctypes.c_ulong(1), 0, 0, 0), ctypes.get_errno() == errno.EINVAL)
print(libc.umount2(os.fsencode("/nowhere/at/all"), 2) < 0, ctypes.get_errno() in (errno.ENOENT, errno.EPERM))
one, other = os.pipe(); file = os.open(PLACE, os.O_RDWR | os.O_CREAT); os.write(other, b"moved")
print(libc.splice(one, None, file, None, ctypes.c_size_t(99), 2), os.pread(file, 99, 0))
os.environ["SECRET"] = "word"
libc.getenv.restype = ctypes.c_void_p
place = libc.getenv(b"SECRET")
libc.memset(ctypes.c_void_p(place), ord("x"), ctypes.c_size_t(4))
libc.getenv.restype = ctypes.c_char_p
print(place > 1 << 32, libc.getenv(b"SECRET"), libc.getenv(b"NONE"))
"""


def test_the_c_library_is_called_as_by_ctypes(tmp_path: Path) -> None:
    """Numbers, pointers of 64 bits, nothing, and errno; what it does not have is the real one's."""
    stood_in = fresh(CALLS.replace("PLACE", repr(str(tmp_path / "a"))))
    real = CALLS.replace("PLACE", repr(str(tmp_path / "b")))
    done = subprocess.run([sys.executable, "-I", "-S", "-c", real], capture_output=True, text=True, check=True)
    assert stood_in == done.stdout.strip() and "b'xxxx'" in stood_in


class Real(typing.NamedTuple):
    """As the library makes one."""

    a: int
    b: str = "x"


class Ours(standins._Fields):
    """The same."""

    a: int
    b: str = "x"


@pytest.mark.parametrize(
    "use",
    [
        lambda kind: tuple(kind(1)),
        lambda kind: tuple(kind(a=1, b=2)),
        lambda kind: tuple(kind(1, b=2)),
        lambda kind: kind(1).b,
        lambda kind: kind(1) == (1, "x"),
        lambda kind: hash(kind(1)),
        lambda kind: tuple(kind(1)._replace(b="y")),
        lambda kind: kind(1)._asdict(),
        lambda kind: tuple(kind._make([3, 4])),
        lambda kind: (kind._fields, kind._field_defaults),
        lambda kind: str(kind(1, 2)).partition("(")[2],
        lambda kind: kind() and 0,
        lambda kind: kind(1, 2, 3) and 0,
        lambda kind: kind(1, c=3) and 0,
        lambda kind: kind(1, a=3) and 0,
    ],
)
def test_a_tuple_with_names_behaves_as_one_of_typing(use: Any) -> None:
    """What fails fails in both."""
    real, ours = told(use, Real), told(use, Ours)
    assert real == ours or (real[0] == ours[0] == "TypeError")


def test_signals_are_called_as_the_library_calls_them() -> None:
    """Numbers without a name, too."""
    import signal

    for number in range(1, 65):
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        assert signal_name(number) == name


@pytest.mark.parametrize(
    ("code", "prints"),
    [
        ("import json; print(json.JSONDecodeError.__mro__[1].__name__)", "ValueError"),
        ("import re; print(re.compile('a+').fullmatch('aa').group(), re.escape('.'))", "aa \\."),
        ("import signal; print(signal.Signals(9).name, int(signal.SIGTERM))", "SIGKILL 15"),
        ("import socket; a, b = socket.socketpair(); a.send(b'x'); print(b.recv(9))", "b'x'"),
        ("import socket\nwith socket.socket() as one: print(one.fileno() > 0)\nprint(one.fileno())", "True\n-1"),
        ("import logging; logging.getLogger('a').warning('b'); print(logging.INFO)", "20"),
        ("import collections.abc; print(collections.abc.Mapping.__name__, collections.namedtuple('A', 'b')(1))", None),
        ("import threading\none = threading.Thread(target=print, args=('ran',)); one.start(); one.join()", "ran"),
        ("import typing; print(typing.get_type_hints(type('A', (), {'__annotations__': {'a': int}})))", None),
        (
            "import traceback\ntry: 1 / 0\nexcept ZeroDivisionError: print(traceback.format_exc()[-17:])",
            "division by zero",
        ),
        ("import contextlib, functools, inspect, enum, random, uuid; print(random.randint(1, 1))", "1"),
        (
            "import six; print(six.text_type.__name__); from six.moves import urllib; print(urllib.parse.quote('/ '))",
            None,
        ),
        ("from http.client import HTTPConnection, OK; print(HTTPConnection('127.0.0.1', 1).port, OK)", "1 200"),
        (
            "import subprocess, tempfile, selectors, dataclasses; print(subprocess.check_output(['echo', 'x']))",
            "b'x\\n'",
        ),
    ],
)
def test_more_of_a_module_is_the_real_one(code: str, prints: str | None) -> None:
    """Whoever asks for it has it, as late as he likes."""
    found = fresh(code)
    assert found == prints if prints is not None else found


@pytest.mark.parametrize("name", sorted(standins.all_of_them()))
def test_each_of_them_is_loaded_when_more_of_it_is_wanted(name: str) -> None:
    """`__doc__` of the real one is there then; Python 2's names have none."""
    if name in ("six.moves", "six.moves.urllib", "collections.abc", "addict") or name.startswith("six"):
        pytest.skip("no module that has more")
    assert fresh(f"from daqsched_executor.standins import loaded; print(len(dir(loaded({name!r}))) > 5)") == "True"


def test_an_executor_that_has_started_has_none_of_them_loaded() -> None:
    """A hundred that start together share two cores: each of these is milliseconds."""
    code = "import daqsched_executor.out, daqsched_executor.run.main, os; daqsched_executor.out.catch()"
    real = fresh(f"{code}; print(*(n for n, m in sys.modules.items() if type(m) is type(os)))").split()
    costly = set("re enum typing logging json socket signal collections threading six random selectors http".split())
    costly |= {"urllib", "urllib.parse", "contextlib", "functools", "importlib", "pymesos.scheduler"}
    assert not costly.intersection(real), "each of them is milliseconds of every start"
    assert len(real) < 120


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="Linux only")
def test_a_process_without_children_is_alone() -> None:
    """What an executor asks before it says that it left nothing."""
    code = (
        "from daqsched_executor.machine.kernel import Kernel\nimport os\nkernel = Kernel(); print(kernel.alone())\n"
        "ours, its = os.pipe()\nif not os.fork():\n    os.close(its); os.read(ours, 1); os._exit(0)\n"
        "print(kernel.alone()); os.close(its)\nwhile not kernel.alone(): pass\nprint('again')"
    )
    assert fresh(code).split() == ["True", "False", "again"]


def test_a_pattern_is_searched_with_the_real_engine() -> None:
    """Loaded before the search, whose time is bounded, and asked for once: not at each line."""
    code = "from daqsched_executor.run.output_probe import _search; print(_search(b'rea.y', [b'x' * 10] * 30000 + [b'ready']))"
    assert fresh(code) == "True"

"""What a reader of a tutorial types, and which differences from the page do not matter."""

from __future__ import annotations

import pytest

from tutorial import File, Typed, fits, steps

PAGE = """# A page

```console
$ daqsched status
JOB
...
$ cd -
```

Write:

```python jobs.py
jobs = []
```
"""


def test_a_page_is_commands_and_files_in_order() -> None:
    """With the lines where they stand."""
    assert steps(PAGE) == [
        Typed("daqsched status", ["JOB", "..."], 4),
        Typed("cd -", [], 7),
        File("jobs.py", "jobs = []\n"),
    ]


@pytest.mark.parametrize("block", ["```\nmake run\n```", "```sh\nmake run\n```", "```console\nmake run\n```"])
def test_a_block_that_nobody_would_follow_is_refused(block: str) -> None:
    """A command that is only shown is one that may be wrong."""
    with pytest.raises(ValueError, match="line 2|line 3"):
        steps(block)


@pytest.mark.parametrize(
    ("printed", "said", "fit"),
    [
        ("readout  hlt01  RUNNING  2.3 s  pid 8785", "readout hlt01 RUNNING 1 min 2 s pid 9\n", True),
        ("readout  hlt01  RUNNING  2.3 s  pid 8785", "readout hlt02 RUNNING 2.3 s pid 8785", False),
        ("11 RUNNING; master 127.0.0.1:23104", "11 RUNNING; master 127.0.0.1:1", True),
        ("11 RUNNING; master 127.0.0.1:23104", "10 RUNNING; master 127.0.0.1:1", False),
        ("07:28:33.041 hlt02 readout | event 75", "01:02:03.999 hlt01 readout | event 8", True),
        ("07:28:33.041 hlt02 readout | event 75", "01:02:03.999 hlt01 readout ! event 8", False),
        ("Revision 2 (11b3f455a698) is in force.", "Revision 2 (c4d5f054431e) is in force.", True),
        ("...\ndown", "a\nb\ndown", True),
        ("...\ndown", "down", True),
        ("...\ndown", "a\nb", False),
        ("builder: .../bin/x is missing", "builder: /cvmfs/y/bin/x is missing", True),
        ("flaky ... pid 7; last end: ...", "flaky  pid 8; last end: killed", True),
        ("one", "one\ntwo", False),
        ("[a] (b) *", "[a] (b) *", True),
    ],
)
def test_numbers_that_differ_each_time_may_differ(printed: str, said: str, fit: bool) -> None:
    """All else is compared to the letter, but for blanks."""
    assert fits(printed.splitlines(), said) is fit

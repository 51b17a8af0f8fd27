"""What is written down of service files in ``forward/files``: a registration of each, and until when all were looked for."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from zlib import crc32

from ...contract import LogFiles, Stream
from ..disk.replace import replace
from .foreign_files import Key, changed, key_of
from .identity import BEGINNING, Identity, identified

#: The folder below the forwarder's own, and the file there that lists the patterns seen before. Its time is that up to
#: which nothing was missed.
FILES_DIR, PATTERNS = "files", "patterns"

_SUFFIX = ".json"


class Registry:
    """The folder; changed by one thread."""

    def __init__(self, folder: str, host: str) -> None:
        """``folder``: the forwarder's own; ``host``: the name that lines get."""
        self.folder = self._folder = os.path.join(folder, FILES_DIR)
        self._patterns = os.path.join(self._folder, PATTERNS)
        self._host = host

    def prepare(self) -> None:
        """Make the folder, and take away what was unpacked for a stream that was never registered. Raises OSError."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        names = set(os.listdir(self._folder))
        for name in names:
            if name.endswith((".rest", ".new")) and name.partition(".")[0] + _SUFFIX not in names:
                os.unlink(os.path.join(self._folder, name))

    def path(self, stream_id: str) -> str:
        """Where the registration of a stream is."""
        return os.path.join(self._folder, stream_id + _SUFFIX)

    def salvage(self, stream_id: str) -> str:
        """Where the salvage of a file is that is gone: what was not read of it."""
        return os.path.join(self._folder, stream_id + ".rest")

    def registrations(self) -> Iterator[str]:
        """All that there are. Raises OSError."""
        return (os.path.join(self._folder, name) for name in os.listdir(self._folder) if name.endswith(_SUFFIX))

    def stream(
        self, one: LogFiles, path: str, stream_id: str = "", start: int = 0, handle: int = -1, real: str = ""
    ) -> Stream:
        """What is registered of a file, which is open; LookupError or ValueError where the service's options are none."""
        from ..forms.records import charset_of

        beginning = os.pread(handle, BEGINNING, 0) if handle >= 0 else b""
        key: Key = key_of(handle) if handle >= 0 else (0, 0)
        identity: Identity = identified(*key, beginning)
        if start and beginning and not identity.size:
            # a program goes on at its old place in a file that was emptied: zeros are what it begins with
            identity = Identity(*key, len(beginning), crc32(beginning))
        return Stream(
            id=stream_id,
            name=os.path.basename(path),
            path=path,
            start=start,
            task_id="",
            job=one.name,
            host=self._host,
            labels=dict(one.labels),
            created=time.time(),
            format="records",
            dataset="daqsched.file",
            options={
                "time": one.time,
                "level": one.level,
                "multiline": one.multiline,
                "charset": charset_of(one.charset, beginning).name,
                "identity": list(identity),
                **({"real": real} if real not in ("", path) else {}),
            },
        )

    def complete_until(self) -> float:
        """When files were last looked for by whatever forwarder (wall clock); 0: never."""
        return changed(self._patterns)

    def sign(self, when: float) -> None:
        """All that was written to before then is registered, or was stored."""
        with contextlib.suppress(OSError):
            os.utime(self._patterns, (when, when))

    def known(self, told: Sequence[LogFiles]) -> list[LogFiles]:
        """Those with a pattern that was in use before."""
        before = self._before()
        return [one for one in told if any([one.name, pattern] in before for pattern in one.paths)]

    def use(self, told: Sequence[LogFiles], when: float) -> None:
        """Note the patterns in use, as signed at that time. Raises OSError."""
        patterns = sorted([one.name, pattern] for one in told for pattern in one.paths)
        if patterns != self._before():
            replace(self._patterns, json.dumps(patterns).encode(), sync=True)
            self.sign(when)  # until what was missed is registered, too

    def _before(self) -> list[list[str]]:
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError), open(self._patterns) as file:
            return [[str(name), str(pattern)] for name, pattern in json.load(file)]
        return []

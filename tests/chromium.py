"""A headless Chromium (Debian's), driven by its DevTools protocol through a pair of pipes: no port, no driver, no package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

from waiting import until

#: How long the browser may take for one answer.
ANSWER_S = 60.0

#: The first that there is. The shell is all that shows a page, without what makes a browser of it: half the work.
PROGRAMS = ("chromium-headless-shell", "chromium")

_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--password-store=basic",
    "--window-size=1280,800",
)


class PageError(AssertionError):
    """What the page's own script threw."""


class PageLeftError(Exception):
    """The page went to another address before it could answer."""


#: How the browser says that.
_LEFT = {
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find context with specified id",
}


class Browser:
    """One browser with a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        chromium = next(filter(None, map(shutil.which, PROGRAMS)), None)
        assert chromium, "there is no chromium-headless-shell: scripts/setup --tests"
        told, self._write = os.pipe()
        self._read, tells = os.pipe()
        # where it looks for them: 3 and 4. First out of their way, as one of ours may be called so
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (told, tells)]
        os.close(told)
        os.close(tells)
        sandbox = ("--no-sandbox",) * (os.geteuid() == 0)  # it refuses to have one as root
        argv = [chromium, *_OPTIONS, *sandbox, f"--user-data-dir={folder}", *options, "about:blank"]
        env = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        log = str(folder.parent / f"{folder.name}.log")
        actions: list[Any] = [(os.POSIX_SPAWN_DUP2, end, at) for end, at in zip(ends, (3, 4))]
        actions += [(os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)]
        actions += [(os.POSIX_SPAWN_DUP2, 1, 2)]
        self.pid = os.posix_spawn(chromium, argv, env, file_actions=actions, setsid=True)
        for end in ends:
            os.close(end)
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """One call of the protocol and its answer; what happens meanwhile is added to `events`."""
        number = self._send(method, session, **params)
        deadline = time.monotonic() + ANSWER_S
        while True:
            one = self._next(deadline)
            assert one is not None, f"the browser has not answered {method} within {ANSWER_S:g} s"
            if one.get("id") == number:
                wrong = one.get("error")
                if wrong is not None and wrong["message"] in _LEFT:
                    raise PageLeftError(method)
                assert wrong is None, f"{method}: {wrong}"
                found: dict[str, Any] = one["result"]
                return found
            self._take(one)

    def _send(self, method: str, session: str, **params: Any) -> int:
        self._number += 1
        message = {
            "id": self._number,
            "method": method,
            "params": params,
            **({"sessionId": session} if session else {}),
        }
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        return self._number

    def _take(self, one: dict[str, Any]) -> None:
        self.events.append(one)
        if one.get("method") == "Target.attachedToTarget" and one.get("sessionId"):
            # a frame that is a process of its own waits until it is listened to
            for method in ("Network.enable", "Log.enable", "Runtime.enable", "Runtime.runIfWaitingForDebugger"):
                self._send(method, one["params"]["sessionId"])

    def listen(self) -> None:
        """Take in what has happened."""
        while True:
            one = self._next(time.monotonic())
            if one is None:
                return
            self._take(one)

    def _next(self, deadline: float) -> Optional[dict[str, Any]]:
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def page(self) -> Page:
        """A new, empty one."""
        self.events.clear()
        return self.tab()

    def tab(self) -> Page:
        """One more, beside those that are open."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session)

    def end(self) -> None:
        """End it, and all that it started."""
        for end in (self._write, self._read):
            os.close(end)  # without whoever drives it, it ends
        try:
            until(self._ended, "the browser has ended", 10.0)
        except AssertionError:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _ended(self) -> bool:
        return os.waitpid(self.pid, os.WNOHANG)[0] != 0


class Page:
    """One tab, and what happened in it."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        # frames of other processes are listened to as well
        self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One call of the protocol to this tab."""
        return self._browser.call(method, self._session, **params)

    def open(self, url: str) -> None:
        """Go there, and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """What an expression is worth in the page; promises are awaited."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise PageError(json.dumps(done["exceptionDetails"])[:2000])
        return done["result"].get("value")

    def wait(self, expression: str, timeout_s: float = 30.0) -> None:
        """Until the expression, or what it promises, is true (as JavaScript has it: an element is)."""

        def true() -> bool:
            try:
                return bool(self.js(f"Promise.resolve(({expression})).then(Boolean)"))
            except PageLeftError:  # the next one may say so
                return False

        until(true, f"{expression} is true in the page", timeout_s)

    def until(self, condition: Callable[[], bool]) -> None:
        """Until something has happened, see `happened`."""
        until(condition, "that has happened in the page")

    def click(self, selector: str) -> None:
        """Press what is there, as soon as it is: a page may draw itself anew at any moment."""
        self.wait(f"(one => one && (one.click(), true))(document.querySelector({json.dumps(selector)}))")

    def text(self, selector: str = "body") -> str:
        """What is to be read there."""
        found: str = self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    def press(self, key: str, text: str = "") -> None:
        """A key, as a person would."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40}
        codes.update(PageDown=34, PageUp=33)
        more = {"text": "\r" if key == "Enter" else text} if key == "Enter" or text else {}
        code = codes.get(key, ord(key[0]))
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """A text, where the focus is."""
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """The window, and the colours that its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """A picture of what is seen."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """Close the tab."""
        self.call("Page.close")

    def quiet(self, words: str) -> None:
        """What was expected, and is in the browser's log, did not happen."""
        self._browser.listen()
        events = self._browser.events
        kept = [one for one in events if one.get("method") != "Log.entryAdded" or words not in json.dumps(one)]
        events[:] = kept

    def happened(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of these events, also of the frames', since the tab is there."""
        self._browser.listen()
        return [one["params"] for one in self._browser.events if one.get("method") in methods]


@contextmanager
def browser(folder: Path, *options: str) -> Iterator[Browser]:
    """A browser, ended whatever happens."""
    folder.mkdir(parents=True)
    made = Browser(folder, *options)
    try:
        yield made
    finally:
        made.end()

"""The sentences about checks, as `words` has those about the program; imported where a job has checks."""

from __future__ import annotations

from daqsched_executor.contract import Check, duration


def not_ready(pid: int, waiting: list[tuple[Check, str]]) -> str:
    """``pid 4711 started, not ready yet: http has not answered``; the reason of the last attempt where there is one."""
    parts = [
        f"{check.name} {check.type.not_yet(check)}" + (f" ({problem})" if problem else "") for check, problem in waiting
    ]
    return f"pid {pid} started, not ready yet: {'; '.join(parts)}"


def no_answer(check: Check) -> str:
    """A check that took too long."""
    hint = f" ({check.type.hint})" if check.type.hint else ""
    return f"{check.type.who(check)} does not answer within {duration(check.timeout_s)}{hint}"


def silent(check: Check, passed: bool, silence_s: float, problem: str) -> str:
    """What did not come in time; ``passed``: it came before."""
    assert check.type.silence is not None, "a check that is asked does not wait for a sign of life"
    what = check.type.silence(check, passed, duration(silence_s))
    return f"{what} ({problem})" if problem else what


def ailment(check: Check, problem: str, fails: int) -> str:
    """``check http failed 3 times in a row: 127.0.0.1:8080 refuses the connection``."""
    times = f" {fails} times in a row" if fails > 1 else ""
    return f"check {check.name} failed{times}: {problem}"


def fails(check: Check, fails: int, problem: str) -> str:
    """A failure that is not one too many yet."""
    return f"check {check.name} fails ({fails} of {check.failures}): {problem}"


def well(message: str, ailments: list[str], snoozes: list[str], says: str) -> str:
    """What is told while the program runs: the sentence of `words.running`, and what the checks add to it."""
    parts = [message]
    if ailments:
        parts.append(f"unhealthy: {', '.join(ailments)}")
    parts += snoozes
    if says:
        parts.append(f"it says: {says}")
    return "; ".join(parts)


def snoozed(names: list[str], user: str, until: str, message: str) -> str:
    """``check http snoozed by alice until 14:32:00 UTC (http server is being replaced)``."""
    which = f"check{'s' if len(names) > 1 else ''} {', '.join(names)}"
    return f"{which} snoozed by {user or 'somebody'} until {until}" + (f" ({message})" if message else "")


def clock_after(clock: str, seconds: float) -> str:
    """The local time ``seconds`` after ``2025-11-22 14:02:11 UTC``: ``14:32:11 UTC``, with the days where it is another one.

    A change of the clocks in between is not seen: it is told in the zone of now. A clock that cannot be read gives ``in 30 min``.
    """
    # no `re`: it would be loaded now, from an installation that may be away
    hours, minutes, rest, zone = clock[11:13], clock[14:16], clock[17:19], clock[19:]
    numbers = hours + minutes + rest
    if len(numbers) != 6 or not (numbers.isascii() and numbers.isdigit()):
        return f"in {duration(seconds)}"
    days, second = divmod(int(hours) * 3600 + int(minutes) * 60 + int(rest) + int(seconds), 86400)
    text = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}{zone}"
    return text if not days else f"{text} tomorrow" if days == 1 else f"{text} in {days} days"

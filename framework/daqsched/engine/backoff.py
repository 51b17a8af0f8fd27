"""When to try again: the scheduler's own back-off, after the executor's restarts in place were of no use."""

from __future__ import annotations

#: Seconds before the second attempt, what each further one multiplies them by, and the most they become. The first
#: attempt after a failure is at once: most failures are single ones, and the crew waits for the job.
DELAY_S, FACTOR, CAP_S = 1.0, 2.0, 60.0

#: A task that ran this long was well: the count begins anew.
RESET_S = 60.0


def delay_s(failures: int) -> float:
    """How long to wait after the given number of failures in a row; never gives up.

    >>> [delay_s(n) for n in (1, 2, 3, 4, 8, 1000)]
    [0.0, 1.0, 2.0, 4.0, 60.0, 60.0]
    """
    if failures <= 1:
        return 0.0
    return min(CAP_S, DELAY_S * FACTOR ** min(failures - 2, 30))

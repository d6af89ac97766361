"""How long a job still takes, told from its progress."""

from __future__ import annotations

from ..model.base.language import tr

_FEWEST_SECONDS, _FEWEST_PERCENT = 3.0, 2.0


class TimeLeft:
    """Remaining time by the pace of the whole run, weighed with that of its last part, since steps differ in pace."""

    def __init__(self, now: float) -> None:
        self._start = now
        self._recent: list[tuple[float, float]] = [(now, 0.0)]

    def seconds(self, percent: float, now: float) -> float | None:
        """Seconds still to go; None while nothing can be told.

        Args:
            percent: done, 0 to 100.
            now: seconds of the same clock as at the start.
        """
        if percent < self._recent[-1][1]:  # a part of the work begins anew
            self._recent = [(now, percent)]
        elif percent > self._recent[-1][1]:
            self._recent = [*self._recent[-19:], (now, percent)]
        elapsed = now - self._start
        if elapsed < _FEWEST_SECONDS or percent < _FEWEST_PERCENT:
            return None
        overall = elapsed * (100 - percent) / percent
        begin, first = self._recent[0]
        if percent - first < _FEWEST_PERCENT or now - begin < _FEWEST_SECONDS:
            return overall
        return (overall + (now - begin) * (100 - percent) / (percent - first)) / 2


def time_text(seconds: float | None) -> str:
    """Remaining time for people; empty where unknown."""
    if seconds is None:
        return ""
    if seconds < 60:
        return tr("under a minute left")
    if seconds < 5400:
        return tr("about {minutes} min left").format(minutes=round(seconds / 60))
    return tr("about {hours} h left").format(hours=f"{seconds / 3600:.1f}")


def duration_text(seconds: float) -> str:
    """How long something took."""
    if seconds < 90:
        return tr("{seconds} s").format(seconds=round(seconds))
    return tr("{minutes} min").format(minutes=round(seconds / 60))

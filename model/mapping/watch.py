"""How far a run is and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ..base.language import tr
from ..base.progress import Progress


class Watch:
    """Shows how far the run is and how long it will take.

    Args:
        progress: told of it.
        threads: computing threads.
        total: pixels to compute.
        done_before: share of the job that an earlier run did.
    """

    def __init__(self, progress: Progress, threads: int, total: int, done_before: float) -> None:
        self._progress, self._threads = progress, threads
        self._total, self._before = max(1, total), done_before
        self._begin = time.monotonic()
        self._told = 0.0
        self._estimated = False
        self._warm: tuple[float, int] | None = None  # when every thread had done a chunk, and the pixels until then

    def show(self, pixels: int, chunks: int, times: Sequence[float]) -> None:
        """Called often; tells seldom.

        Args:
            pixels: computed so far.
            chunks: computed so far.
            times: seconds of (the first of) these chunks.
        """
        now = time.monotonic()
        share = min(1.0, pixels / self._total)
        self._progress.percent(97.0 * (self._before + (1.0 - self._before) * share))
        threads = self._threads
        if self._warm is None and chunks >= threads:
            self._warm = (now, pixels)
        # The first chunks of each thread are slow (libraries start up): some more are awaited, then the time is told,
        # once. Whichever is slower counts: computing (by the median), or all together where reading is the bottleneck.
        if not self._estimated and (chunks >= 3 * threads or share == 1.0):
            self._estimated = True
            per_pixel = float(np.median(times)) * chunks / max(1, pixels) / threads
            if self._warm is not None and pixels > self._warm[1]:
                per_pixel = max(per_pixel, (now - self._warm[0]) / (pixels - self._warm[1]))
            seconds = max(now - self._begin + per_pixel * (self._total - pixels), 1e-3)
            self._progress.info(
                tr("Estimated time: {duration} for {total:,} pixels, {total2:,.0f} pixels a second.").format(
                    duration=duration(seconds), total=self._total, total2=self._total / seconds
                )
            )
        if share > 0.02 and now - self._told > 2.0:
            self._told = now
            left = (now - self._begin) * (1.0 - share) / share
            self._progress.text(
                tr("Mapping: {share:.0f} %, {duration} left").format(share=100 * share, duration=duration(left))
            )


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

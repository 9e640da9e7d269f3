"""Draw again while runs grow: at most five times a second, the newest step never left out, the end at once."""

import threading
import time

LIVE = ("running", "paused", "stopping")
PAUSE = 0.2  # seconds between two drawings


class Follower:
    """Calls `draw()` now, and again while any of the runs is live; `close()` ends that.

    One thread draws at a time, under `lock`. An error in the first drawing is raised, a later one by the handle's wait.
    """

    def __init__(self, runs: list, draw):
        self._runs, self._draw, self.lock = runs, draw, threading.RLock()
        self._drawn, self._later, self._leave = 0.0, None, []
        self._leave = [run.watch(self._logged) for run in runs if run.state in LIVE]
        self.draw()  # after watch: a run that ends in between is still drawn with its end

    def draw(self) -> None:
        """Draw now."""
        with self.lock:
            self._draw()
            self._drawn = time.monotonic()

    def _logged(self) -> None:
        # Called in the thread that logged. What comes too soon is drawn a little later by a timer, so that the newest
        # step is seen even if the next one takes minutes; the end of a run is drawn at once.
        # A handle knows its state; a run without one must look into its file.
        ended = not any((run.handle or run).state in LIVE for run in self._runs)
        with self.lock:
            wait = 0 if ended else self._drawn + PAUSE - time.monotonic()
            if wait > 0:
                if self._later is None:
                    self._later = threading.Timer(wait, self._catch_up)
                    self._later.daemon = True
                    self._later.start()
                return
            self.draw()
            if ended:
                self.close()

    def _catch_up(self) -> None:
        with self.lock:
            self._later = None
            if self._leave:
                try:
                    self.draw()
                except Exception as error:  # noqa: BLE001 - in a timer nobody would see it; wait() raises it
                    for run in self._runs:
                        run.watch_error = run.watch_error or error
                    self.close()

    def close(self) -> None:
        """Stop following the runs; what is drawn stays."""
        with self.lock:
            while self._leave:
                self._leave.pop()()

"""A modality that never stops: study after study, each image sent again until it is acknowledged."""

import itertools
import threading

from tests.support.mammograms import mammogram
from tests.support.scu import store_rest

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
PATIENCE = 0.3
"""Seconds before a modality that was cut off calls again."""


class SteadySender(threading.Thread):
    """Stores small studies on a node at a port until `finish`; then it ends the one that it has begun."""

    def __init__(self, port, title, *, pause):
        super().__init__(name=f"sender-{title}", daemon=True)
        self._port = port
        self._title = title
        self._pause = pause
        self._enough = threading.Event()
        self._abandoned = threading.Event()
        self._complete = threading.Event()
        self.acknowledged: set[str] = set()
        self.offered = 0
        """How many C-STOREs were begun, repetitions included."""

    def run(self):
        for number in itertools.count():
            left = _study(f"{self._title}-{number}")
            while left and not self._abandoned.is_set():
                left = self._send(left)
                if left:
                    self._abandoned.wait(PATIENCE)
            if self._enough.is_set():
                if not left:
                    self._complete.set()
                return

    def finish(self, seconds):
        """Begin no further study; wait until all of the last one is acknowledged."""
        self._enough.set()
        self.join(seconds)
        assert self._complete.is_set(), f"{self._title}: the node did not take the rest within {seconds} s"

    def abandon(self):
        """End at once, whatever is left: nobody may send to a port that another test has by then."""
        self._abandoned.set()
        self._enough.set()
        if self.ident is not None:  # it was started
            self.join(60)

    def _send(self, images):
        """Send ``images`` over one association; return those that were not acknowledged."""
        rest = store_rest(self._port, images, calling=self._title, before_each=self._begin)
        self.acknowledged |= {str(image.SOPInstanceUID) for image in images if image not in rest}
        return rest

    def _begin(self):
        self._enough.wait(self._pause)
        self.offered += 1


def _study(name):
    return [
        mammogram(side, view, study=name, number=number, rows=256, columns=208)
        for number, (side, view) in enumerate(VIEWS, 1)
    ]

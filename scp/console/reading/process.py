"""A process that reads uploaded files, from inside: a question a line, an answer a line, as JSON.

The first line is the configuration, and an empty one answers it. It ends with its input: when nobody can ask
any more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import numpy as np
import structlog
from PIL import Image

from inference import findings
from inference.errors import InferenceError
from inference.reading import mammogram, pixels
from inference.reading.pixels import Picture
from scp import logs
from scp.configuration.settings import Settings
from scp.console.reading.reader import PREVIEW
from scp.operating.analyze_files import is_picture
from scp.process import limits, parent

if TYPE_CHECKING:
    from inference.pipeline import Analyst

log = structlog.get_logger(__name__)

PREVIEW_SIDE: Final = 900
"""Pixels of a preview's longer side."""
MOST_PIXELS: Final = 100_000_000
"""Of one image, frames counted: the largest mammograms have 30 million."""

READER_STEPS: Final = 19
"""Of nice(2): an analysis takes a whole core for seconds, and holds no lock that a receiver waits for."""


class FileReader:
    """Answers questions about files."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._analyst: Analyst | None = None

    def answer(self, question: dict[str, str]) -> dict[str, object]:
        """Return what was found, or a ``problem`` in words."""
        path, target = Path(question["file"]), Path(question["to"])
        try:
            if question["do"] == PREVIEW:
                return self._preview(path, target)
            return self._analyse(path, target)
        except InferenceError as error:
            return {"problem": str(error)}
        except MemoryError:
            return {"problem": "the image needs more memory than it may take"}
        except OSError as error:
            return {"problem": f"the file cannot be read ({error.strerror or type(error).__name__})"}
        except Exception as error:
            log.exception("uploaded file not read")
            return {"problem": f"this is a fault of the program ({type(error).__name__}), the log has more"}

    def _preview(self, path: Path, target: Path) -> dict[str, object]:
        picture = self._picture(path)
        grey = Image.fromarray((picture.grey * 255 + 0.5).astype(np.uint8))
        grey.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        grey.save(target, format="JPEG", quality=85)
        return {"width": grey.width, "height": grey.height}

    def _picture(self, path: Path) -> Picture:
        if is_picture(path):
            return pixels.from_image_file(path)
        self._check_size(path)
        return pixels.from_dicom(path)

    def _check_size(self, path: Path) -> None:
        image = mammogram.read(path, self._settings.node.reading())
        if image.rows * image.columns * image.frames > MOST_PIXELS:
            raise InferenceError(f"the image has more than {MOST_PIXELS // 1_000_000} million pixels")

    def _analyse(self, path: Path, target: Path) -> dict[str, object]:
        picture = is_picture(path)
        if not picture:
            self._check_size(path)
        analyst = self._opened()
        started = time.monotonic()
        analysis = analyst.analyse_image_file(path) if picture else analyst.analyse(path)
        if analysis.layers is not None:
            target.write_bytes(analysis.layers.encoded())
        return {"finding": findings.dump(analysis.finding), "seconds": time.monotonic() - started}

    def _opened(self) -> Analyst:
        """Load the network when it is first needed: a preview needs none."""
        if self._analyst is None:
            # imported here: TensorFlow comes with it, and previews are made without
            from scp.working.process import open_analyst  # noqa: PLC0415

            self._analyst = open_analyst(self._settings)
            limits.limit_memory(self._settings.worker.job_memory_mb)
        return self._analyst


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    limits.forbid_core_files()
    limits.give_way(READER_STEPS)
    answers = _own_output()
    parent.die_with_starter()
    answers.write("\n")
    answers.flush()
    settings = Settings.model_validate_json(sys.stdin.readline())
    logs.configure(settings.log)
    warnings.simplefilter(
        "ignore"
    )  # what libraries say of a stranger's file is in the answer, or nobody's concern
    limits.limit_memory(settings.worker.job_memory_mb)
    reader = FileReader(settings)
    for line in sys.stdin:
        answers.write(json.dumps(reader.answer(json.loads(line))) + "\n")
        answers.flush()


def _own_output() -> TextIO:
    """Return standard output for answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    main()

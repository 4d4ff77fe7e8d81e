"""TensorFlow and Keras, loaded with the settings that every process of ours computes with.

Every other module takes both from here, so that none can load them with other settings first.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inference import imports

_STANDARD_ERROR: Final = 2
_ONE_AT_A_TIME: Final = threading.Lock()
"""Of threads that send standard error to nowhere: a second one would take that for where it was."""
_UNWANTED: Final = ("matplotlib", "sklearn")
"""Keras loads these where they are installed, for galleries and wrappers that nobody here uses."""


@contextmanager
def _native_stderr_off() -> Iterator[None]:
    """Send file descriptor 2 to nowhere inside the block; exceptions pass as usual.

    TensorFlow 2.21 writes a dozen lines about absent graphics cards past every log setting that it documents
    (absl prints them before its own level is known). They are no news for the operator of a processor-only
    node.
    """
    with _ONE_AT_A_TIME:
        sys.stderr.flush()
        standard_error = os.dup(_STANDARD_ERROR)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STANDARD_ERROR)
            yield
        finally:
            os.dup2(standard_error, _STANDARD_ERROR)
            os.close(standard_error)
            os.close(nowhere)


@contextmanager
def _quick_import() -> Iterator[None]:
    """Hide what Keras does without, and collect no garbage: half of the processor time of a start.

    Importing makes some hundred thousand objects that stay: the collector would look at them again and again,
    also later.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with imports.without(*_UNWANTED):
            yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


# Set before TensorFlow is loaded. oneDNN is on by default on some processors only; one setting everywhere
# keeps scores comparable, and it is the faster one (a fifth, measured on AVX2).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
with _native_stderr_off(), _quick_import():
    import keras
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")

__all__ = ["fix_computation", "keras", "tf", "use_graphics_cards"]


def use_graphics_cards() -> list[str]:
    """Compute on the graphics cards of this machine instead of its processor; return their names, if any.

    Memory of a card is taken as it is needed: several processes share it. Raises RuntimeError where
    TensorFlow has already begun to work.
    """
    with _native_stderr_off():
        cards = tf.config.list_physical_devices("GPU")
        if cards:
            tf.config.set_visible_devices(cards, "GPU")
        for card in cards:
            tf.config.experimental.set_memory_growth(card, True)
        details = [tf.config.experimental.get_device_details(card) for card in cards]
    return [str(detail.get("device_name", card.name)) for detail, card in zip(details, cards, strict=True)]


def fix_computation(threads: int) -> None:
    """Compute on ``threads`` processor threads and the same bits for the same batch, in this whole process.

    Raises RuntimeError where TensorFlow has already begun to work with another number of threads.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError as error:
            raise RuntimeError(
                f"TensorFlow computes in this process already; its threads cannot become {threads} now"
            ) from error
    tf.config.experimental.enable_op_determinism()
    with _native_stderr_off():
        tf.constant(0)  # the first operation starts the context, which prints about absent graphics cards

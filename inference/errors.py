"""Why an image is not analysed.

    InferenceError
    ├── Refused      never attempted: this kind of image is not read (Summary of Analyses: Not Attempted)
    ├── Failed       attempted, and it cannot work (Summary of Analyses: Failed)
    ├── ManifestError  a model's manifest, or what it names, is not what it must be
    └── ModelError   the shipped model cannot be used at all: nothing can be analysed

The message of `Refused` and `Failed` goes into the report that the radiologist reads: a sentence without
paths, traces or names. None of them is worth another try.
"""


class InferenceError(Exception):
    """Root of all errors of this room."""


class Refused(InferenceError):  # noqa: N818 - what is said of the image, not a fault of ours
    """The image is of a kind that is not analysed."""


class Failed(InferenceError):  # noqa: N818 - the same
    """The image should be analysable and is not."""


class ManifestError(InferenceError):
    """The manifest or the weights that it names cannot be used; the message names key, value and mend."""


class ModelError(InferenceError):
    """Manifest, weights or their hash are not what they must be; the message names the file and the mend."""

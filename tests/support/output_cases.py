"""Studies of every kind that a node meets, as files: their results are compared before and after a change.

Two real patients, drawn mammograms in other encodings, and what is refused or broken. Nothing is random and
nothing reads a clock: the same file names hold the same bytes on every machine.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gdcm
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from scp.demo import cases
from tests.support import mutation_seeds
from tests.support.mammograms import mammogram, write

SIZE: Final = {"rows": 320, "columns": 256}

Content = Dataset | bytes
Round = Mapping[str, Content]
"""Files that arrive before a report is made, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One study, or one thing that can be wrong."""

    name: str
    rounds: tuple[tuple[Path, ...], ...]
    """Files in the order in which they arrive; a report is made after each round."""


def demo(folder: Path) -> list[Case]:
    """Write the two studies of the demo, regrouped as the demo sends them."""
    return [
        _written(folder, study.name, [_numbered(study.images)])
        for study in sorted(cases.studies(), key=lambda study: study.name)
    ]


def drawn(folder: Path) -> list[Case]:
    """Write the drawn studies: complete, late, corrected, compressed, refused and broken ones."""
    makers: tuple[Callable[[str], Sequence[Round]], ...] = (
        _screening,
        _late_image,
        _corrected_name,
        _raw_with_twin,
        _raw_alone,
        _compressed,
        _unusual_header,
        _films,
        _two_patients,
        _refused,
        _broken,
        _not_kept,
    )
    return [
        _written(folder, maker.__name__.lstrip("_").replace("_", "-"), maker(str(number)))
        for number, maker in enumerate(makers, 1)
    ]


def other_options(folder: Path) -> list[Case]:
    """Write the studies that are reported with other options than the defaults."""
    (images,) = _screening("21")
    raw = _image("R", "CC", number=9, study="21", for_processing=True, AcquisitionTime="235959", **SIZE)
    return [_written(folder, "other-options", [{**images, "raw": raw}])]


def pictures(folder: Path) -> list[Path]:
    """Write a PNG and a JPEG of one mammogram, for ``analyze``."""
    folder.mkdir(parents=True, exist_ok=True)
    grey = (_image("R", "CC", **SIZE).pixel_array // 16).astype(np.uint8)
    Image.fromarray(grey).save(folder / "right.png")
    Image.fromarray(grey).save(folder / "right.jpg", quality=95)
    return [folder / "right.png", folder / "right.jpg"]


def cases_in(folder: Path) -> list[Case]:
    """Group the DICOM files of an existing folder into one case for each study."""
    studies: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        studies.setdefault(str(header.StudyInstanceUID), []).append(path)
    return [
        Case(name=f"{folder.name}-{number}", rounds=(tuple(files),))
        for number, files in enumerate(studies.values(), 1)
    ]


def _written(folder: Path, name: str, rounds: Sequence[Round]) -> Case:
    paths = []
    for number, contents in enumerate(rounds, 1):
        place = folder / name / str(number)
        place.mkdir(parents=True)
        paths.append(tuple(_file(place / f"{file}.dcm", content) for file, content in contents.items()))
    return Case(name=name, rounds=tuple(paths))


def _file(path: Path, content: Content) -> Path:
    if isinstance(content, Dataset):
        return write(content, path)
    path.write_bytes(content)
    return path


def _numbered(images: Iterable[Dataset]) -> Round:
    return {str(number): image for number, image in enumerate(images, 1)}


def _image(laterality: str, view: str, *, bits: int = 12, number: int = 1, **attributes: Any) -> Dataset:
    """Return a mammogram that is drawn without exponentials: they differ in their last bits, too.

    Only sums, products and quotients, which IEEE 754 rounds alike everywhere.
    """
    image = mammogram(laterality, view, bits=bits, number=number, **attributes)
    rows, columns = attributes["rows"], attributes["columns"]
    row, column = np.mgrid[0:rows, 0:columns]
    across = (column if laterality == "L" else columns - 1 - column) / columns
    down = row / rows - (0.5 if view == "CC" else 0.55)
    texture = (row // 5 * 31 + column // 5 * 17 + number * 101) % 64 / 640
    inside = (across / 0.72) * (across / 0.72) + (down / 0.4) * (down / 0.4) < 1
    values = np.rint(np.where(inside, 0.55 - 0.3 * across + texture, 0.015) * (2**bits - 1)).astype("<u2")
    if image.PhotometricInterpretation == "MONOCHROME1":
        values = 2**bits - 1 - values
    raw = values.astype("u1" if bits == 8 else "<u2").tobytes()
    image.PixelData = raw * (2 if image.SOPClassUID == BreastTomosynthesisImageStorage else 1)
    return image


def _both_sides(study: str, **attributes: Any) -> Round:
    return {
        f"{side}CC": _image(side, "CC", number=number, study=study, **SIZE, **attributes)
        for number, side in enumerate("RL", 1)
    }


def _screening(study: str) -> list[Round]:
    """Four standard views, each with another way from stored to displayed values."""
    common = {"study": study, **SIZE}
    return [
        {
            "RCC": _image("R", "CC", number=1, **common),
            "LCC": _image("L", "CC", number=2, photometric="MONOCHROME1", voi="lut", **common),
            "RMLO": _image("R", "MLO", number=3, voi="sigmoid", **common),
            "LMLO": _image("L", "MLO", number=4, bits=8, voi="linear_exact", **common),
        }
    ]


def _late_image(study: str) -> list[Round]:
    return [
        _both_sides(study),
        {"RCC-again": _image("R", "CC", number=5, study=study, **SIZE)},
    ]


def _corrected_name(study: str) -> list[Round]:
    return [_both_sides(study, patient_name="Wrong^Jane"), _both_sides(study, patient_name="Right^Jane")]


def _raw_with_twin(study: str) -> list[Round]:
    images = _both_sides(study)
    twin = _image("R", "CC", number=9, study=study, for_processing=True, **SIZE)
    twin.AcquisitionTime = images["RCC"].AcquisitionTime
    return [{**images, "raw": twin}]


def _raw_alone(study: str) -> list[Round]:
    return [{"raw": _image("R", "CC", study=study, for_processing=True, **SIZE)}]


def _compressed(study: str) -> list[Round]:
    """One image in each family of transfer syntaxes; the last has lost something, which results hand on."""
    images = {}
    for number, syntax in enumerate((RLELossless, JPEGLSLossless, JPEG2000Lossless), 1):
        images[syntax.keyword] = _image("R", "MLO", number=number, study=study, **SIZE)
        images[syntax.keyword].compress(syntax, generate_instance_uid=False)
    for number, syntax in enumerate((ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian), 4):
        images[syntax.keyword] = _image("L", "MLO", number=number, study=study, **SIZE)
        images[syntax.keyword].file_meta.TransferSyntaxUID = syntax
    eight_bits = _image("L", "CC", number=6, study=study, bits=8, LossyImageCompression="01", **SIZE)
    baseline = gdcm.TransferSyntax.JPEGBaselineProcess1
    images["JPEGBaseline8Bit"] = mutation_seeds._jpeg(eight_bits, JPEGBaseline8Bit, baseline)
    return [images]


def _unusual_header(study: str) -> list[Round]:
    """What is seldom written, or left out: results copy it, or do without."""
    common = {"study": study, **SIZE}
    return [
        {
            "other-view": _image("L", "ML", number=1, **common),
            "no-side": _image(
                "R", "CC", number=2, ImageLaterality=None, SeriesDescription=None, PatientOrientation="",
                **common,
            ),
            "no-view": _image(
                "R", "CC", number=3, ViewPosition=None, ViewCodeSequence=None, SeriesDescription=None,
                **common,
            ),
            "latin-1": _image(
                "L", "CC", number=4, SpecificCharacterSet="ISO_IR 100", patient_name="Müller^Zoë",
                TimezoneOffsetFromUTC="+0200", **common,
            ),
            "sparse": _image(
                "R", "MLO", number=5, PatientBirthDate=None, PatientSex="", StudyDate=None, StudyTime=None,
                AccessionNumber="", **common,
            ),
            "implant": _image("L", "MLO", number=6, BreastImplantPresent="YES", **common),
        }
    ]  # fmt: skip


def _films(study: str) -> list[Round]:
    return [_both_sides(study, sop_class=SecondaryCaptureImageStorage)]


def _two_patients(study: str) -> list[Round]:
    images = _both_sides(study)
    images["LCC"].PatientID, images["LCC"].PatientName = "SOMEBODY", "Else^Somebody"
    return [images]


def _refused(study: str) -> list[Round]:
    """What the header alone forbids."""
    kinds: dict[str, dict[str, Any]] = {
        "tomosynthesis": {"sop_class": BreastTomosynthesisImageStorage},
        "projection": {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]},
        "synthetic": {"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]},
        "raw": {"for_processing": True},
        "spot": {"SeriesDescription": "R CC Spot", "ViewCodeSequence": None},
        "magnification": {"ViewPosition": "RMCC"},
        "specimen": {"SeriesDescription": "Specimen", "ViewCodeSequence": None},
        "phantom": {"OrganExposed": "PHANTOM"},
        "stereotactic": {"SeriesDescription": "R CC Stereo", "ViewCodeSequence": None},
        "biopsy": {"ProtocolName": "R Biopsy", "ViewCodeSequence": None},
        "cleavage": {"ViewPosition": "CV"},
        "both-breasts": {"ImageLaterality": "B", "SeriesDescription": "CC"},
        "two-frames": {"NumberOfFrames": 2},
        "colour": {"PhotometricInterpretation": "RGB"},
        "three-samples": {"SamplesPerPixel": 3},
    }
    return [
        {
            name: _image("R", "CC", number=number, study=study, **SIZE, **attributes)
            for number, (name, attributes) in enumerate(kinds.items(), 1)
        }
    ]


def _broken(study: str) -> list[Round]:
    """What cannot be decoded, or shows no breast; one good image among them."""
    common = {"study": study, **SIZE}
    short = _image("R", "CC", number=1, **common)
    short.PixelData = short.PixelData[:1000]
    absent = _image("R", "CC", number=2, **common)
    del absent.PixelData
    damaged = _image("L", "CC", number=3, **common)
    damaged.compress(RLELossless, generate_instance_uid=False)
    damaged.PixelData = damaged.PixelData[:200] + b"\xff" * (len(damaged.PixelData) - 200)
    return [
        {
            "short": short,
            "absent": absent,
            "damaged": damaged,
            "enormous": _image("R", "MLO", number=4, Rows=65535, Columns=65535, **common),
            "blank": _plain(_image("L", "MLO", number=5, **common), 1600),
            "white": _plain(_image("L", "MLO", number=6, **common), 4095),
            "saturated": _saturated(_image("L", "MLO", number=7, **common)),
            "no-window": _image("R", "CC", number=8, voi=None, **common),
            "no-number": _image("R", "CC", number=9, WindowWidth="0", **common),
            "good": _image("R", "CC", number=10, **common),
        }
    ]


def _not_kept(study: str) -> list[Round]:
    """What is refused when it is received, or by ``analyze``."""
    common = {"study": study, **SIZE}
    buffer = io.BytesIO()
    _image("R", "CC", number=1, **common).save_as(buffer, enforce_file_format=True)
    whole = buffer.getvalue()
    return [
        {
            "ct": _image("R", "CC", number=2, sop_class=CTImageStorage, **common),
            "no-study": _image("R", "CC", number=3, StudyInstanceUID=None, **common),
            "own-result": _image(
                "R", "CC", number=4, Manufacturer="SecondRead",
                ManufacturerModelName="SecondRead mammography node", **common,
            ),
            "text": b"no image at all" * 100,
            "empty": b"",
            "header-cut": whole[:700],
        }
    ]  # fmt: skip


def _plain(image: Dataset, value: int) -> Dataset:
    image.PixelData = np.full((image.Rows, image.Columns), value, "<u2").tobytes()
    return image


def _saturated(image: Dataset) -> Dataset:
    values = image.pixel_array.copy()
    values[values > 1000] = 4095
    image.PixelData = values.astype("<u2").tobytes()
    return image

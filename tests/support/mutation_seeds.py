"""What the fuzz test begins with: valid mammograms of the kinds that a node meets, as bytes."""

import io
import tempfile
from pathlib import Path

import gdcm
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from tests.support import htj2k_pattern
from tests.support.mammograms import mammogram

SIZE = {"rows": 96, "columns": 80}
PREAMBLE = 132
IMAGE, STUDY = "1.2.826.0.1.3680043.9.9.1000000", "1.2.826.0.1.3680043.9.8.1000000"
"""UIDs that all of them have: `tests.support.mutations` gives each mutation its own."""


def seeds():
    """Valid files (PS3.10) of the kinds that a node meets: each as file meta information and data set."""
    plain = [
        mammogram("R", "CC", **SIZE),
        mammogram("L", "MLO", photometric="MONOCHROME1", voi="lut", **SIZE),
        mammogram("L", "CC", bits=8, **SIZE),
        mammogram("R", "MLO", sop_class=SecondaryCaptureImageStorage, **SIZE),
        mammogram("R", "CC", sop_class=BreastTomosynthesisImageStorage, **SIZE),
        mammogram("R", "CC", for_processing=True, **SIZE),
    ]
    other_image = mammogram("R", "CC", **SIZE)
    other_image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    deflated = mammogram("R", "CC", **SIZE)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return [_parts(image) for image in (*plain, other_image, deflated, *_compressed())]


def _compressed():
    """One of each family of decoders that the node uses."""
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        image = mammogram("L", "CC", **SIZE)
        image.compress(syntax, generate_instance_uid=False)
        yield image
    image = mammogram("L", "CC", rows=htj2k_pattern.ROWS, columns=htj2k_pattern.COLUMNS)
    yield _encapsulating(image, HTJ2KLossless, htj2k_pattern.stream("lossless", 12))
    yield _jpeg(mammogram("L", "CC", **SIZE), JPEGLosslessSV1, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    yield _jpeg(mammogram("L", "CC", **SIZE), JPEGExtended12Bit, gdcm.TransferSyntax.JPEGExtendedProcess2_4)
    yield _jpeg(
        mammogram("L", "CC", bits=8, **SIZE), JPEGBaseline8Bit, gdcm.TransferSyntax.JPEGBaselineProcess1
    )


def _encapsulating(image, syntax, stream):
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([stream])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    return image


def _jpeg(image, syntax, number):
    """Compress ``image`` by GDCM: pydicom has no encoder of this family."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plain.dcm")
        image.save_as(path, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(number))
        assert reader.Read()
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(path))
        assert writer.Write()
        (stream,) = generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)
    return _encapsulating(image, syntax, stream)


def _parts(image):
    """Split a file after its file meta information, which the listener writes by itself from the command."""
    buffer = io.BytesIO()
    image.StudyInstanceUID = STUDY
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = IMAGE
    image.save_as(buffer, enforce_file_format=True)
    whole = buffer.getvalue()
    length = whole[PREAMBLE + 8 : PREAMBLE + 12]  # the value of (0002,0000), PS3.10 7.1
    end = PREAMBLE + 12 + int.from_bytes(length, "little")
    return whole[:end], whole[end:]

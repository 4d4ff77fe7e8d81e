"""One study as peers of every kind are sent it, in a real Orthanc; it tells by which title it was called."""

import io
from collections import defaultdict

import numpy as np
import pydicom
import pytest
from pydicom.sr.coding import Code
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    JPEG2000Lossless,
    JPEGLSLossless,
    MammographyCADSRStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from tests.support import results, scu, ungated
from tests.support.mammograms import standard_views
from tests.support.node_process import MODEL, WHOLE, NodeProcess, peer
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port

FORMS = {
    "RECTANGLE": {"objects": ["report"]},
    "OUTLINE3D": {"objects": ["report"], "region": "outline", "sr_class": "comprehensive3d"},
    "CAD": {"objects": ["cad_sr"]},
    "STATE": {"objects": ["gsps"]},
    "HANGING": {"objects": ["heatmaps"], "sc_modality": "MG", "compression": ["jpeg-ls", "rle"]},
    "RLE": {"objects": ["heatmaps"], "compression": ["rle"]},
    "PAGE": {"objects": ["summary"], "compression": ["jpeg-2000"]},
}
"""Peers by title, each of which is sent objects that no other one is sent: Orthanc keeps a UID once."""
FOR_EACH_IMAGE = (["heatmaps"], ["gsps"])
VIEWS = standard_views(study="forms", rows=320, columns=256)
GROUP = Code("125007", "DCM", "Measurement Group")


def _toml(value):
    return str(value).replace("'", '"') if isinstance(value, list) else f'"{value}"'


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    """What Orthanc has stored, by the title under which it was called."""
    folder, port = tmp_path_factory.mktemp("forms"), free_port()
    peers = [f'[[peers]]\nae_title = "MODALITY"\nresults_to = {_toml(list(FORMS))}\n']
    for title, form in FORMS.items():
        peers.append(peer(title, port, **{key: _toml(value) for key, value in form.items()}))
    model = ungated.copy(MODEL, folder / "model")
    node = NodeProcess(
        folder / "node",
        peers="".join(peers),
        quiet_seconds=WHOLE,
        extra=f'[model]\nname = "{model}"\nflag = 0.0001\n',
    )
    count = sum(len(VIEWS) if form["objects"] in FOR_EACH_IMAGE else 1 for form in FORMS.values())
    with node, Orthanc(folder / "orthanc", node_port=node.port, port=port) as orthanc:
        answers = scu.store(node.port, VIEWS, calling="MODALITY")
        assert {answer.Status for answer in answers} == {0}
        for title in FORMS:
            node.lines.wait_for(f"destination={title} ", seconds=240)
        objects = defaultdict(list)
        rows = orthanc.wait_for(VIEWS[0].StudyInstanceUID, lambda rows: len(rows) == count)
        for *_, identifier in rows.values():
            title = orthanc.text(f"/instances/{identifier}/metadata/CalledAET")
            objects[title].append(pydicom.dcmread(io.BytesIO(orthanc.file(identifier))))
    return objects


@pytest.mark.parametrize(
    ("title", "count", "sop_class", "modality", "syntax"),
    [
        ("RECTANGLE", 1, ComprehensiveSRStorage, "SR", ExplicitVRLittleEndian),
        ("OUTLINE3D", 1, Comprehensive3DSRStorage, "SR", ExplicitVRLittleEndian),
        ("CAD", 1, MammographyCADSRStorage, "SR", ExplicitVRLittleEndian),
        ("STATE", 4, GrayscaleSoftcopyPresentationStateStorage, "PR", ExplicitVRLittleEndian),
        ("HANGING", 4, SecondaryCaptureImageStorage, "MG", JPEGLSLossless),
        ("RLE", 4, SecondaryCaptureImageStorage, "OT", RLELossless),
        ("PAGE", 1, SecondaryCaptureImageStorage, "OT", JPEG2000Lossless),
    ],
)
def test_each_peer_has_its_objects_in_its_form(received, title, count, sop_class, modality, syntax):
    assert len(received[title]) == count
    for instance in received[title]:
        form = instance.SOPClassUID, instance.Modality, instance.file_meta.TransferSyntaxUID
        assert form == (sop_class, modality, syntax)
        assert instance.SeriesDescription.startswith("AI: flagged R and L - ")


def shapes(report):
    """The numbers of points of the lines of ``report``."""
    groups = results.named(report, GROUP)
    marks = [item for group in groups for item in group.ContentSequence if item.ValueType == "SCOORD"]
    return [len(mark.GraphicData) // 2 for mark in marks]


def test_one_peer_has_rectangles_and_the_other_outlines(received):
    (rectangles,), (outlines,) = received["RECTANGLE"], received["OUTLINE3D"]
    assert set(shapes(rectangles)) == {5}
    assert len(shapes(outlines)) == len(shapes(rectangles)) == len(VIEWS)
    assert set(shapes(outlines)).isdisjoint({5, 9})


def test_marks_of_cad_sr_and_presentation_state_lie_on_the_images_that_were_sent(received):
    originals = {image.SOPInstanceUID for image in VIEWS}
    (cad,) = received["CAD"]
    assert cad.ContentTemplateSequence[0].TemplateIdentifier == "4000"
    evidence = cad.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert originals == {
        item.ReferencedSOPInstanceUID for series in evidence for item in series.ReferencedSOPSequence
    }
    drawn_on = [
        {
            image.ReferencedSOPInstanceUID
            for annotation in state.GraphicAnnotationSequence
            for image in annotation.ReferencedImageSequence
        }
        for state in received["STATE"]
    ]
    assert sorted(map(list, drawn_on)) == sorted([uid] for uid in originals)


def test_pictures_of_every_compression_and_modality_show_the_same(received):
    def by_source(pictures):
        return {picture.SourceImageSequence[0].ReferencedSOPInstanceUID: picture for picture in pictures}

    hanging, plain = by_source(received["HANGING"]), by_source(received["RLE"])
    assert hanging.keys() == plain.keys() == {image.SOPInstanceUID for image in VIEWS}
    for source, picture in hanging.items():
        assert picture.SOPInstanceUID != plain[source].SOPInstanceUID
        assert np.array_equal(picture.pixel_array, plain[source].pixel_array)
    (page,) = received["PAGE"]
    assert np.ptp(page.pixel_array) > 200

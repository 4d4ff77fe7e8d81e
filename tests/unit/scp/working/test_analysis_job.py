"""An image that its header refuses is never opened: reception has understood the header already."""

from sqlalchemy import select

from inference import findings
from inference.findings import AnalysisStatus
from inference.options import OutputOptions
from inference.pipeline import Analyst
from storage.database import schema
from storage.records import JobKind
from tests.support.in_process import IDENTITY, InProcessNode
from tests.support.mammograms import mammogram


class Unneeded:
    """A network that nobody may ask."""

    identity = IDENTITY


def test_a_refused_image_needs_no_file(tmp_path):
    node = InProcessNode(tmp_path, analyst=Analyst(Unneeded(), OutputOptions()))
    node.receive(mammogram("R", "CC", for_processing=True))
    for file in (tmp_path / "data" / "instances").rglob("*.dcm"):
        file.unlink()
    assert node.worker.step() is JobKind.ANALYSE
    with node.database.read() as tx:
        (text,) = tx.execute(select(schema.findings.c.finding)).scalars()
    finding = findings.load(text)
    assert finding.status is AnalysisStatus.NOT_ATTEMPTED
    assert finding.reason.startswith("For Processing image")
    node.close()

import time

import pydicom

from scp.demo.archive import DemoArchive
from tests.support import scu
from tests.support.mammograms import mammogram


def test_archive_keeps_what_comes_and_wakes_who_waits(tmp_path):
    archive = DemoArchive("PACS", tmp_path)
    port = archive.start()
    try:
        capture = mammogram(sop_class="1.2.840.10008.5.1.4.1.1.7")
        assert not archive.wait_for(bool, seconds=0)
        (answer,) = scu.store(port, [capture], called="PACS")
        assert answer.Status == 0
        assert archive.wait_for(bool, seconds=10)
    finally:
        archive.stop()
    (received,) = archive.received().values()
    assert pydicom.dcmread(received.path).PixelData == capture.PixelData
    assert "PixelData" not in received.header
    assert received.at <= time.monotonic()

"""A second read inside of Orthanc, beside which `bench/end_to_end.py` measures the node.

Orthanc's Python plugin (Debian: orthanc-python) runs this file; it is not run by hand. It is what open
systems of this kind are: Orthanc receives, its own process computes, and Orthanc stores the results and sends
them to the modality ``PACS``. It has no queue: what a stop of Orthanc interrupts is not done again. Network,
pictures and report are those of the node, by the same functions, and one image is read after the other.

Environment: ``SECONDREAD_CONFIGURATION``, a configuration file of the node; ``ORTHANC_PORT``, where Orthanc
answers HTTP on loopback; and PYTHONPATH, on which are this repository and its packages.
"""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
import traceback
from collections import defaultdict
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import orthanc
import requests
from pydicom import Dataset

from bench.end_to_end import VIEWS
from inference.decision import SameForAll
from inference.pipeline import Analyst
from inference.reading import mammogram
from inference.results.study_results import study_objects
from scp import product
from scp.configuration import settings as configuration
from scp.configuration.settings import Settings
from scp.operating import analyze_study
from scp.operating.analyze_study import ReadFile
from scp.process import memory
from scp.working.process import open_analyst

arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()


def stored(instance: orthanc.DicomInstance, _identifier: str) -> None:
    """Note what Orthanc has stored: it waits for this, and so does the sender."""
    if json.loads(instance.GetInstanceSimplifiedJson())["Modality"] == "MG":
        arrived.put(instance.GetInstanceData())


def read(content: bytes, analyst: Analyst, path: Path) -> ReadFile:
    """Analyse one image, by the way of a file at ``path``."""
    path.write_bytes(content)
    source = mammogram.read(path)
    analysis = analyst.analyse(path, source)
    return ReadFile(path=path, source=source, finding=analysis.finding, layers=analysis.layers, seconds=0.0)


def results(files: list[ReadFile], analyst: Analyst, settings: Settings) -> list[Dataset]:
    """Return report and pictures of one study."""
    rule = product.flag_rule(settings.model)
    study = analyze_study.decided(files, rule, SameForAll(threshold=rule.threshold))
    if study.examination is None:
        raise SystemExit("results can refer to no image")
    now = datetime.now(UTC)
    objects = study_objects(
        study.examination,
        made_at=now,
        began=now,
        device=product.device("ORTHANC"),
        identity=analyst.identity,
        options=settings.outputs.options(),
        predecessor=None,
    )
    return [study_object.dataset for study_object in objects]


def send(objects: list[Dataset]) -> None:
    """Store the results in Orthanc, and send them to the PACS."""
    identifiers = []
    for dataset in objects:
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        identifiers.append(json.loads(post("/instances", file.getvalue()))["ID"])
    post("/modalities/PACS/store", json.dumps(identifiers).encode())


def post(path: str, content: bytes) -> bytes:
    """Post by HTTP: the plugin's own call holds Python's lock, for which `stored` may wait at that time."""
    answer = requests.post(f"http://127.0.0.1:{os.environ['ORTHANC_PORT']}{path}", content, timeout=600)
    answer.raise_for_status()
    return answer.content


def work() -> None:
    """Analyse what arrives; report on a study once it has its four views."""
    memory.keep()
    settings = configuration.load(Path(os.environ["SECONDREAD_CONFIGURATION"]), environ={})
    analyst = open_analyst(settings)
    studies: defaultdict[str, list[ReadFile]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        while True:
            file = read(arrived.get(), analyst, Path(folder, "image.dcm"))
            if file.source is None:
                raise SystemExit("an image has no header")
            study = studies[file.source.study_instance_uid]
            study.append(file)
            if len(study) == len(VIEWS):
                send(results(studies.pop(file.source.study_instance_uid), analyst, settings))


def end(fault: threading.ExceptHookArgs) -> None:
    """End Orthanc, so that the bench notices."""
    traceback.print_exception(fault.exc_value)
    os._exit(1)


threading.excepthook = end
orthanc.RegisterOnStoredInstanceCallback(stored)
threading.Thread(target=work, daemon=True).start()

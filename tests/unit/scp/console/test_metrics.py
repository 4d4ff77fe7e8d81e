"""What `/metrics` gives out of a node that has something to say of everything, what the documents promise."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from inference.network import shipped
from scp import product
from scp.auditing.trail import Trail
from scp.configuration.audit import Audit
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.console.metrics import NodeCollector
from scp.console.pages import watch
from scp.console.pages.overview import Watch
from scp.console.services import Services
from storage import calls, refusals
from storage.calls import Calls
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.refused import Refused
from tests.support.scored import examine
from tests.unit.storage.making import NETWORK, SCANNER, Hand

DOCS = Path(__file__).resolve().parents[4] / "docs"
NAME = re.compile(r"secondread_\w+")
NOW = datetime.now(UTC)
MODEL, _, MODEL_VERSION = shipped.DEFAULT.rpartition("-")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Each value that a program gets, by its name and labels."""
    data_dir = tmp_path_factory.mktemp("metrics")
    settings = Settings(node=Node(data_dir=data_dir), audit=Audit(to="tcp://127.0.0.1:1", queue=10))
    database = Database.open(data_dir)
    hand = Hand(database, now=NOW)
    hand.answer_study("1.1")
    hand.send_all()
    scores = [0.1] * 200 + [0.9] * 200
    examine(database, scores, scanner=SCANNER, network=NETWORK, at=NOW - timedelta(minutes=len(scores)))
    call = {"calling_ae": "PACS", "address": "192.0.2.9", "admitted": 1, "admitted_at": NOW}
    with database.write() as tx:
        for name in ("PACS", settings.node.ae_title):  # `check` calls as the node itself
            caller = call | {"calling_ae": name}
            calls.add(tx, [Calls(**caller, rejected=0, rejected_at=None, reason=None)])
        dropped = ("PACS", "1.2.840.10008.5.1.4.1.1.11.1", Refused.DROPPED)
        refusals.add(tx, {dropped: 2, ("PACS", refusals.NO_CLASS, Refused.ADDRESS): 3}, now=NOW)
    trail = Trail(settings=settings)
    for _ in range(11):
        trail.application(started=True)
    node = Services(settings=settings, database=database, archive=FolderArchive(data_dir), uploads=None)
    text = generate_latest(watch.registry_of(NodeCollector(node, Watch(node)))).decode()
    database.close()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("build_info", {"version": product.__version__}, 1),
        ("model_info", {"name": MODEL, "version": MODEL_VERSION}, 1),
        ("studies_today", {}, 1),
        ("last_hour_received_images", {}, 4),
        ("deliveries", {"destination": "PACS", "state": "sent"}, 2),
        pytest.param("peer_last_seen_timestamp_seconds", {"peer": "PACS"}, NOW.timestamp(), id="last seen"),
        pytest.param(
            "peer_last_success_timestamp_seconds", {"peer": "PACS"}, NOW.timestamp(), id="last success"
        ),
        ("not_kept_objects_total", {"peer": "PACS", "reason": "dropped"}, 2),
        ("refused_calls_total", {"of": "association", "peer": "PACS", "reason": "address"}, 3),
        ("audit_waiting_messages", {}, 10),
        ("audit_lost_messages_total", {}, 1),
        ("scanner_examinations", {"scanner": str(SCANNER)}, 400),
        ("scanner_drift", {"scanner": str(SCANNER)}, 1),
        ("scanner_malignant_score", {"scanner": str(SCANNER), "quantile": "0.5"}, 0.1),
    ],
)
def test_a_figure_is_that_of_the_node(samples, name, labels, value):
    assert samples[f"secondread_{name}", frozenset(labels.items())] == pytest.approx(value)


def test_the_node_that_called_itself_is_no_peer(samples):
    peers = {dict(labels)["peer"] for name, labels in samples if name.startswith("secondread_peer_last_seen")}
    assert peers == {"PACS"}


def test_the_documents_list_each_metric_with_its_labels(samples):
    labels_by_name = {}
    for name, labels in samples:
        labels_by_name.setdefault(name, set()).update(label for label, _ in labels)
    listed = {
        name: set(re.findall(r"`(\w+)`", labels))
        for names, labels in re.findall(
            r"^\| (`secondread_[^|]*) \|([^|]*)\|", _text("console.md"), re.MULTILINE
        )
        for name in NAME.findall(names)
    }
    assert listed == labels_by_name


@pytest.mark.parametrize("document", ["grafana-dashboard.json", "operating.md", "scaling.md"])
def test_no_document_names_a_metric_that_there_is_not(samples, document):
    named = set(NAME.findall(_text(document)))
    assert named
    assert named <= {name for name, _ in samples}


def test_panels_of_the_dashboard_lie_beside_each_other():
    panels = json.loads(_text("grafana-dashboard.json"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (column, row)
        for panel in panels
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)


def _text(document):
    return (DOCS / document).read_text("utf-8")

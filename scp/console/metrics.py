"""What Prometheus is told: the same facts as the overview, as numbers. No UID, no patient, no free text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from inference import scanner_calibration
from scp import calibration, product
from scp.calibration import ScannerPopulation
from scp.console.pages.overview import Overview, Watch
from scp.console.services import Services
from storage.overview import recent
from storage.refusals import NO_PEER
from storage.refused import Refused, Subject

MEGABYTE: Final = 1_000_000
BUCKETS: Final = (5, 10, 20, 30, 60, 120, 300, 900, 3600)
"""Seconds from receipt to return: a study of four views takes about 20."""
QUANTILES: Final = (0.1, 0.5, 0.9, 0.95)


class NodeCollector(Collector):
    """Gathers the metrics when they are asked for."""

    def __init__(self, node: Services, watch: Watch) -> None:
        self._services = node
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        """Return all metrics, of this moment."""
        node, now = self._services, self._services.now()
        overview = self._watch.overview()
        with node.database.read() as tx:
            hours = recent.hours(tx, now=now)
            seconds = recent.return_seconds(tx, now=now)
        manifest = node.manifest
        yield _info("secondread_build", "The program", {"version": product.__version__})
        yield _info("secondread_model", "The network", {"name": manifest.name, "version": manifest.version})
        yield from _node(overview, now)
        yield from _deliveries(overview)
        yield from _refusals(overview)
        last = hours[-1]
        yield _gauge("secondread_last_hour_received_images", "Images kept in the last hour", last.received)
        yield _gauge("secondread_last_hour_analysed_images", "Analyses ended in the last hour", last.analysed)
        yield _gauge("secondread_last_hour_returned_objects", "Objects taken in the last hour", last.returned)
        yield _histogram(seconds)
        yield from _scanners(calibration.scanners(node.database))


def _node(overview: Overview, now: datetime) -> Iterator[Metric]:
    health = overview.health
    yield _gauge("secondread_up", "Whether the node runs", health.node.running)
    ready = health.node.worker_pid is not None
    yield _gauge("secondread_worker_ready", "Whether the worker has loaded its network", ready)
    jobs = GaugeMetricFamily("secondread_jobs", "Jobs by kind and state", labels=("kind", "state"))
    for kind, states in health.queue.items():
        for state, number in states.items():
            jobs.add_metric((kind, state), number)
    yield jobs
    oldest = health.oldest_waiting
    age = 0.0 if oldest is None else (now - oldest).total_seconds()
    yield _gauge(
        "secondread_oldest_waiting_job_seconds", "How long the oldest job that is due has waited", age
    )
    yield _gauge("secondread_studies_today", "Studies that began since midnight", overview.studies_today)
    disk = health.disk
    yield _gauge("secondread_disk_free_bytes", "Free in the data directory", disk.free_mb * MEGABYTE)
    if health.audit is not None:
        waiting, lost = float(health.audit.waiting), float(health.audit.lost)
        yield _gauge("secondread_audit_waiting_messages", "Not taken by their receiver yet", waiting)
        yield CounterMetricFamily("secondread_audit_lost_messages", "Found no room", value=lost)
    yield _gauge("secondread_disk_reserve_bytes", "Below it images are refused", disk.reserve_mb * MEGABYTE)


def _deliveries(overview: Overview) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "secondread_deliveries", "Objects by destination and state", labels=("destination", "state")
    )
    success = GaugeMetricFamily(
        "secondread_peer_last_success_timestamp_seconds", "When it last took an object", labels=("peer",)
    )
    last_seen = GaugeMetricFamily(
        "secondread_peer_last_seen_timestamp_seconds", "When it last opened an association", labels=("peer",)
    )
    for entry in overview.health.destinations:
        for state in ("outstanding", "sent", "parked", "withdrawn", "committed", "uncommitted"):
            name = "owed" if state == "outstanding" else state
            states.add_metric((entry.ae_title, name), getattr(entry, state))
        if entry.last_success is not None:
            success.add_metric((entry.ae_title,), entry.last_success.timestamp())
    for peer in overview.peers:
        if peer.last_seen is not None:
            last_seen.add_metric((peer.ae_title,), peer.last_seen.timestamp())
    yield from (states, success, last_seen)


def _refusals(overview: Overview) -> Iterator[Metric]:
    objects = CounterMetricFamily(
        "secondread_not_kept_objects", "Objects received and not kept", labels=("peer", "reason")
    )
    sums: Counter[tuple[str, Refused]] = Counter()
    for group in overview.health.not_kept:
        sums[group.peer, group.reason] += group.objects
    for (peer, reason), number in sums.items():
        objects.add_metric((peer, reason.lower()), number)
    yield objects
    calls_refused = CounterMetricFamily(
        "secondread_refused_calls",
        "Associations, connections and requests refused; without a peer those of all callers that are none",
        labels=("of", "peer", "reason"),
    )
    # a series that begins with its first refusal hides it from rate() and increase()
    numbers = {(NO_PEER, reason): 0 for reason in Refused if reason.subject is not Subject.OBJECT}
    numbers |= {(group.peer, group.reason): group.calls for group in overview.health.refused_calls}
    for (peer, reason), number in numbers.items():
        calls_refused.add_metric((reason.subject.value, peer, reason.lower()), number)
    yield calls_refused


def _histogram(seconds: Sequence[float]) -> Metric:
    buckets = [(str(limit), float(sum(value <= limit for value in seconds))) for limit in BUCKETS]
    buckets.append(("+Inf", float(len(seconds))))
    return GaugeHistogramMetricFamily(
        "secondread_return_seconds",
        "From a study's last image to its first returned object, of the last 24 hours",
        buckets=buckets,
        gsum_value=sum(seconds),
    )


def _scanners(entries: Sequence[ScannerPopulation]) -> Iterator[Metric]:
    labels = ("scanner",)
    count = GaugeMetricFamily("secondread_scanner_examinations", "Examinations with a score", labels=labels)
    drift = GaugeMetricFamily("secondread_scanner_drift", "Distance to the reference, 0 to 1", labels=labels)
    scores = GaugeMetricFamily(
        "secondread_scanner_malignant_score",
        "Quantiles of the last 1,000 examinations",
        labels=("scanner", "quantile"),
    )
    for entry in entries:
        name = str(entry.scanner)
        count.add_metric((name,), entry.examinations)
        if entry.drift is not None:
            drift.add_metric((name,), entry.drift.distance)
        for share in QUANTILES if entry.population else ():
            scores.add_metric((name, f"{share:g}"), scanner_calibration.quantile(entry.population, share))
    yield from (count, drift, scores)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=float(value))


def _info(name: str, words: str, labels: dict[str, str]) -> Metric:
    return InfoMetricFamily(name, words, value=labels)

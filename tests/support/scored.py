"""Examinations of a scanner, without the images behind them."""

from datetime import timedelta

from sqlalchemy import insert

from storage.database import schema
from storage.scanners.scores import columns


def examine(database, malignant, *, scanner, network, at, prefix="1.2.3"):
    """Keep a report with one breast for each of the scores ``malignant``, a minute apart, from ``at`` on."""
    with database.write() as tx:
        for number, score in enumerate(malignant):
            reported_at = at + timedelta(minutes=number)
            report = tx.execute(
                insert(schema.reports).values(
                    study_uid=f"{prefix}.{number}",
                    sequence=1,
                    made_at=reported_at,
                    images=1,
                    content_digest="c",
                    current=False,
                )
            )
            tx.execute(
                insert(schema.breast_scores).values(
                    report_id=report.inserted_primary_key[0],
                    position=0,
                    laterality="R",
                    **columns(scanner, network),
                    malignant=score,
                    threshold=0.9,
                    threshold_source="a test",
                    flagged=score >= 0.9,
                    reported_at=reported_at,
                )
            )

"""All objects that a study gets back, built by the table of kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from inference.examination import Examination
from inference.findings import ModelIdentity
from inference.options import OutputOptions, Predecessor
from inference.results.identity import Device, Maker
from inference.results.kinds import USUAL, OutputKind
from inference.results.study import Distribute, Study, in_turn


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyObject:
    """One finished object and its kind."""

    kind: OutputKind
    dataset: Dataset

    @property
    def alternative_class_uid(self) -> str | None:
        """SOP class in which a peer may take it instead; None where there is no other."""
        return self.kind.alternatives.get(self.dataset.SOPClassUID)


def study_objects(
    examination: Examination,
    *,
    made_at: datetime,
    began: datetime,
    device: Device,
    identity: ModelIdentity,
    options: OutputOptions,
    predecessor: Predecessor | None,
    kinds: Sequence[OutputKind] = USUAL,
    distribute: Distribute = in_turn,
) -> list[StudyObject]:
    """Return the objects of all ``kinds`` that ``options`` want, in the order in which they are sent.

    The same arguments give the same bytes. All objects copy patient and study from the image with the lowest
    SOP Instance UID, so that they agree; where the images name different patients, the report says so.

    Parameters
    ----------
    examination
        The images of one study that were looked at, in any order, and what was decided.
    made_at
        When the report is first made, aware.
    began
        When the study's first report was made, aware.
    distribute
        Draws the pictures; several at a time give the same ones.

    Raises
    ------
    ValueError
        No images, or images of several studies.
    """
    maker = Maker(device=device, model=identity, rule=examination.rule, options=options)
    study = Study.of_examination(
        examination, made_at=made_at, began=began, maker=maker, predecessor=predecessor, distribute=distribute
    )
    return [
        StudyObject(kind=kind, dataset=dataset)
        for kind in kinds
        if kind.is_on(options)
        for dataset in kind.build(study, kind.series_of(study))
    ]

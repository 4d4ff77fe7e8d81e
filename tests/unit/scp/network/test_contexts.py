"""SOP classes that are proposed for what is sent, compared with what the builders make."""

import pytest

from inference.results.kinds import KINDS
from scp.configuration.sent_objects import KIND_OF
from scp.network import contexts
from tests.support import results


def test_each_kind_of_object_has_its_classes():
    assert set(contexts.CLASSES_OF_KINDS) == {kind.name for kind in KINDS}
    assert set(KIND_OF.values()) <= set(contexts.CLASSES_OF_KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_a_kind_makes_has_the_class_that_is_proposed_first(kind, tmp_path):
    finding = results.refused() if kind.name == "NOTICE" else results.measured(results.MALIGNANT)
    image = results.study_image(results.four_views()[0], finding, tmp_path)
    objects = results.of_kind([image], kind.name)
    assert objects
    assert {item.SOPClassUID for item in objects} == {contexts.classes_of(kind.name, "comprehensive")[0]}


def test_a_peer_that_wants_comprehensive_3d_is_offered_it_first():
    offered = contexts.classes_of("SR", "comprehensive3d")
    assert offered == contexts.classes_of("SR", "comprehensive")[::-1]

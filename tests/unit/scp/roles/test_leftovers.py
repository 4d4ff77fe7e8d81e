"""What the dead leave is put away by and by: who ends meanwhile leaves the rest to the next one."""

from types import SimpleNamespace

from scp.roles import leftovers
from tests.support.in_process import InProcessNode


def test_sweep_stops_between_two_batches_where_the_process_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "AT_A_TIME", 2)
    node = InProcessNode(tmp_path)
    place = SimpleNamespace(database=node.database, archive=node.archive)
    pictures = [
        node.archive.path(
            node.archive.keep_bytes(b"picture", folder="heatmaps", key=str(number), suffix=".png")
        )
        for number in range(5)
    ]

    def number_of_pictures():
        return sum(picture.exists() for picture in pictures)

    leftovers.sweep(place, lambda: number_of_pictures() < 5, older_than=-1.0)
    assert number_of_pictures() == 3
    leftovers.sweep(place, lambda: False, older_than=-1.0)
    assert number_of_pictures() == 0
    node.close()

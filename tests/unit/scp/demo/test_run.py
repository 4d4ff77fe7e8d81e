import pytest

from scp.configuration.settings import Settings
from scp.demo import node, run
from tests.support.running_node import lock_held


def test_only_an_earlier_demo_is_removed(tmp_path):
    folder = tmp_path / "demo"
    run._fresh(folder)
    (folder / "report.dcm").touch()
    run._fresh(folder)
    assert not (folder / "report.dcm").exists()
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    (other_folder / "precious").touch()
    with pytest.raises(run.CommandError, match="not of a demo"):
        run._fresh(other_folder)
    assert (other_folder / "precious").exists()


def test_running_demo_is_left_alone(tmp_path):
    run._fresh(tmp_path / "demo")
    (tmp_path / "demo" / "data").mkdir()
    with lock_held(tmp_path / "demo" / "data"), pytest.raises(run.CommandError, match="another demo"):
        run._fresh(tmp_path / "demo")


def test_configuration_of_the_demo_is_valid_and_takes_model_and_outputs_over(tmp_path):
    settings = Settings.model_validate(
        {"model": {"name": str(tmp_path / 'mo"del')}, "outputs": {"sc_modality": "MG", "notice": False}}
    )
    path = node.write_config(tmp_path, archive="PACS", port=104, settings=settings)
    loaded = run.load(path, {})
    assert loaded.model == settings.model
    assert loaded.outputs == settings.outputs
    assert loaded.destinations("PACS") == ("PACS",)
    assert loaded.node.data_dir == tmp_path / "data"

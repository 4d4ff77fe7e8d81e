import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage

from inference.errors import Failed
from inference.findings import AnalysisStatus
from inference.heatmap import legend
from inference.network import manifest
from inference.reading import pixels
from inference.results import codes
from scp import terminal
from scp.operating import analyze, analyze_files, analyze_lines, analyze_study
from storage.database.engine import Database
from storage.scanners.scores import Network, Scanner
from tests.support import model_folder, results
from tests.support.command_line import CommandLine
from tests.support.mammograms import mammogram, write
from tests.support.scored import examine

KEYS = [
    "file",
    "status",
    "reason",
    "laterality",
    "view",
    "label",
    "probabilities",
    "malignant_at_operating_point",
    "explained",
    "peak",
    "region",
    "model",
    "seconds",
]
CLASSES = ["Normal", "Benign", "Benign without callback", "Malignant"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_folder.make(tmp_path_factory.mktemp("model"), operating_point=0.000001)


@pytest.fixture
def secondread(monkeypatch, capsys, tmp_path, model):
    """`secondread analyze` with the untrained model, for which every image is at the operating point."""
    config = tmp_path / "node.toml"
    config.write_text(f'[model]\nname = "{model}"\n', encoding="utf-8")
    run = CommandLine(monkeypatch, capsys)
    return lambda *words: run("analyze", "--config", config, *words)


@pytest.fixture
def image(tmp_path):
    return write(mammogram("L", "MLO", lesion=True), tmp_path / "left.dcm")


@pytest.fixture
def picture(tmp_path):
    values = mammogram("R", "CC").pixel_array
    path = tmp_path / "right.png"
    Image.fromarray((values // 16).astype(np.uint8)).save(path)
    return path


def test_analysed_file_has_exactly_the_promised_form(secondread, image):
    ended = secondread(image, "--json")
    assert ended.code == 0
    line, _ = ended.lines
    assert list(line) == KEYS
    assert line["file"] == str(image)
    assert (line["status"], line["reason"]) == ("analysed", None)
    assert (line["laterality"], line["view"]) == ("L", "MLO")
    assert line["label"] in CLASSES
    assert list(line["probabilities"]) == CLASSES
    assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert line["malignant_at_operating_point"] is True
    assert line["explained"] == "Malignant"
    column, row = line["peak"]
    assert 0 <= column <= 512
    assert 0 <= row <= 640
    assert line["region"] is None or (
        set(line["region"]) == {"center", "ellipse"} and np.shape(line["region"]["ellipse"]) == (4, 2)
    )
    assert line["model"] == {"name": "untrained", "version": "0.0.1"}
    assert line["seconds"] > 0


def test_picture_says_nothing_of_side_and_view(secondread, picture):
    (line,) = secondread(picture, "--json").lines
    assert list(line) == KEYS
    assert line["status"] == "analysed"
    assert (line["laterality"], line["view"]) == (None, None)


def test_refused_file_alone_is_no_failure(secondread, tmp_path):
    raw = write(mammogram(for_processing=True), tmp_path / "raw.dcm")
    ended = secondread(raw, "--json")
    assert ended.code == 0
    (line,) = ended.lines
    assert list(line) == KEYS
    assert line["status"] == "refused"
    assert "For Processing" in line["reason"]
    assert line["view"] == "CC"
    empty_fields = ("label", "probabilities", "malignant_at_operating_point", "explained", "peak", "region")
    assert [line[key] for key in empty_fields] == [None] * 6


def test_one_failed_file_makes_exit_code_1_and_does_not_stop_the_others(secondread, tmp_path, image):
    text = tmp_path / "text.dcm"
    text.write_text("not an image")
    ended = secondread(text, tmp_path / "missing.dcm", image, "--json")
    assert ended.code == 1
    assert [line["status"] for line in ended.lines if "file" in line] == ["failed", "failed", "analysed"]
    assert ended.lines[0]["reason"] == "this is no DICOM, PNG or JPEG file"
    assert "No such file" in ended.lines[1]["reason"]
    assert "Traceback" not in ended.err


def test_fault_of_the_program_is_one_files_outcome_too(secondread, image, picture, monkeypatch):
    def break_down(_):
        raise ZeroDivisionError

    monkeypatch.setattr("inference.reading.pixels.from_dicom", break_down)
    ended = secondread(image, picture, "--json")
    assert ended.code == 1
    assert [line["status"] for line in ended.lines] == ["failed", "analysed"]
    assert "ZeroDivisionError" in ended.lines[0]["reason"]
    assert "break_down" in ended.err


def test_table_shows_every_file_and_the_warning(secondread, image, tmp_path):
    raw = write(mammogram(for_processing=True), tmp_path / "raw.dcm")
    ended = secondread(image, raw)
    assert ended.code == 0
    assert "L MLO" in ended.out
    assert "FLAGGED" in ended.out
    assert "refused: For Processing" in ended.out
    assert "\n2 files: 1 analysed, 1 refused\n" in ended.out
    assert "not for diagnostic use" in ended.out


def test_output_folder_gets_overlays_and_the_dicom_results_of_each_study(secondread, tmp_path, picture):
    source = tmp_path / "in"
    source.mkdir()
    for number, (side, view) in enumerate([("R", "CC"), ("L", "CC")], start=1):
        write(mammogram(side, view, number=number), source / f"{number}.dcm")
    write(mammogram("R", "CC", study="2"), source / "other.dcm")
    folder = tmp_path / "out"
    ended = secondread(source, picture, "--output", folder)
    assert ended.code == 0
    assert {path.name for path in folder.glob("*.png")} == {
        "1-heatmap.png",
        "2-heatmap.png",
        "other-heatmap.png",
        "right-heatmap.png",
    }
    objects = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    assert sorted(instance.Modality for instance in objects) == ["OT"] * 5 + ["SR"] * 2
    studies = {instance.StudyInstanceUID for instance in objects}
    assert studies == {pydicom.dcmread(path).StudyInstanceUID for path in source.glob("*.dcm")}
    assert "4 overlays and 7 DICOM objects" in ended.err


@pytest.mark.usefixtures("loose_umask")
def test_output_is_for_its_user_alone_whatever_the_umask(secondread, tmp_path, image):
    folder = tmp_path / "out"
    assert secondread(image, "--output", folder).code == 0
    written = [folder, *folder.iterdir()]
    assert len(written) > 1
    assert not any(path.stat().st_mode & 0o077 for path in written)


def test_failed_image_has_its_place_in_the_report_and_a_foreign_one_has_not(secondread, tmp_path):
    blank = mammogram("R", "CC")
    blank.PixelData = bytes(len(blank.PixelData))
    foreign = mammogram("L", "CC", number=2)
    foreign.SOPClassUID = foreign.file_meta.MediaStorageSOPClassUID = CTImageStorage
    folder = tmp_path / "out"
    ended = secondread(
        write(blank, tmp_path / "blank.dcm"),
        write(foreign, tmp_path / "ct.dcm"),
        "--output",
        folder,
        "--json",
    )
    assert ended.code == 1
    assert [line["status"] for line in ended.lines] == ["failed", "refused"]
    (report,) = [
        instance for instance in map(pydicom.dcmread, folder.glob("*.dcm")) if instance.Modality == "SR"
    ]
    assert str(blank.SOPInstanceUID) in report.to_json()
    assert str(foreign.SOPInstanceUID) not in report.to_json()


def test_two_files_of_one_name_get_two_overlays(secondread, tmp_path):
    for number, name in enumerate("ab", start=1):
        (tmp_path / name).mkdir()
        write(mammogram(number=number), tmp_path / name / "image.dcm")
    secondread(tmp_path / "a", tmp_path / "b", "--output", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        "image-heatmap.png",
        "image-2-heatmap.png",
    }


def test_output_folder_that_cannot_be_is_a_sentence(secondread, image, tmp_path):
    (tmp_path / "out").write_text("a file")
    ended = secondread(image, "--output", tmp_path / "out")
    assert ended.code == 1
    assert "cannot be written to" in ended.err


def test_folder_without_images_is_wrong_usage(secondread, tmp_path):
    (tmp_path / "empty").mkdir()
    ended = secondread(tmp_path / "empty")
    assert ended.code == 2
    assert "no DICOM, PNG or JPEG file" in ended.err


def test_model_that_cannot_be_used_is_a_sentence(monkeypatch, capsys, tmp_path, image):
    bad = model_folder.make(tmp_path / "bad", sha256="0" * 64)
    (tmp_path / "node.toml").write_text(f'[model]\nname = "{bad}"\n')
    ended = CommandLine(monkeypatch, capsys)("analyze", image, "--config", tmp_path / "node.toml")
    assert ended.code == 1
    assert "SHA-256" in ended.err
    assert "Traceback" not in ended.err


def test_without_any_configuration_the_defaults_do(monkeypatch, capsys, tmp_path, image):
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(analyze, "run", lambda settings, files, **_: calls.append((settings, files)) or 0)
    run = CommandLine(monkeypatch, capsys)
    assert run("analyze", image).code == 0
    assert calls[0][0].peers == ()
    assert run("analyze", image, "--config", "missing.toml").code == 2


def test_folders_are_searched_for_images_and_named_files_taken_as_they_are(tmp_path):
    folder = tmp_path / "in"
    for name in ("b.dcm", "sub/a.PNG", "c.jpeg", "notes.txt", ".hidden/x.dcm", "DICOMDIR", "readme"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    for name in ("IM0001", "1.2.840.17"):
        (folder / name).write_bytes(bytes(128) + b"DICM")
    names = [str(path.relative_to(folder)) for path in analyze_files.expand([folder]).files]
    assert names == ["1.2.840.17", "IM0001", "b.dcm", "c.jpeg", "sub/a.PNG"]
    assert analyze_files.expand([folder / "notes.txt", folder / "notes.txt"]).files == (folder / "notes.txt",)


def test_what_cannot_be_read_is_named_and_skipped(tmp_path, monkeypatch, capsys):
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "dangling.dcm").symlink_to(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_bytes(b"text")
    (tmp_path / "locked.dcm").write_bytes(b"")
    (tmp_path / "good.dcm").write_bytes(b"")
    opened = Path.open

    def refuse(path, *args, **rest):
        if path.name == "locked.dcm":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **rest)

    monkeypatch.setattr(Path, "open", refuse)
    selection = analyze_files.expand([tmp_path, Path("/dev/null")])
    assert [path.name for path in selection.files] == ["good.dcm"]
    assert {path.name: reason for path, reason in selection.skipped.items()} == {
        "pipe.dcm": "no file, but a FIFO, a socket or a device",
        "dangling.dcm": "a link that leads nowhere",
        "locked.dcm": "it cannot be read (Permission denied)",
        "null": "no file, but a FIFO, a socket or a device",
    }
    assert [path.name for path in selection.unread] == ["notes.txt"]
    summary = analyze_lines._summary([AnalysisStatus.SUCCEEDED], analyze._unread(selection))
    no_file = "2 skipped (no file, but a FIFO, a socket or a device)"
    assert summary.startswith(f"6 files: 1 analysed, {no_file}, 1 skipped (")
    assert summary.endswith(", 1 skipped (does not look like an image)")
    analyze._show_skipped(selection)
    output = capsys.readouterr().err
    assert f"skipped: {tmp_path / 'notes.txt'}: it does not look like an image" in output
    assert "pipe.dcm: no file, but a FIFO" in output


def test_control_characters_of_a_name_are_written_out():
    assert terminal.printable("a\x1b[31mb\x07\x9b\n.dcm") == "a\\x1b[31mb\\x07\\x9b\\n.dcm"
    assert terminal.printable("Mu\u0308ller ä") == "Mu\u0308ller ä"
    assert terminal.printable("\udcff") == "\\udcff"


def test_name_of_a_file_has_one_line_in_a_table():
    text = terminal.table("files", ["file", "reason"], [(Path("a\nb.dcm"), "two\nlines")])
    assert text.rows == (("a\\nb.dcm", "two\nlines"),)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n broken", b"broken" * 50])
def test_broken_picture_is_called_that(tmp_path, content):
    picture = tmp_path / "broken.png"
    picture.write_bytes(content)
    assert analyze_files.is_picture(picture)
    with pytest.raises(Failed, match="damaged"):
        pixels.from_image_file(picture)


@pytest.mark.parametrize("name", ["empty.dcm", "empty.png"])
def test_empty_file_is_called_that(secondread, tmp_path, name):
    (tmp_path / name).touch()
    (line,) = secondread(tmp_path / name, "--json").lines
    assert (line["status"], line["reason"]) == ("failed", "the file is empty")


def breasts(lines):
    return [line for line in lines if "study" in line]


def test_views_of_a_breast_are_read_together_and_get_a_line(secondread, tmp_path):
    views = [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")]
    for number, (side, view) in enumerate(views, start=1):
        write(mammogram(side, view, number=number, lesion=side == "R"), tmp_path / f"{number}.dcm")
    write(mammogram("R", "CC", study="2"), tmp_path / "9.dcm")
    lines = secondread(tmp_path, "--json").lines
    assert ["study" in line for line in lines] == [False] * 4 + [True] * 2 + [False, True]
    right, left, other_breast = breasts(lines)
    keys = ["study", "laterality", "views", "malignant", "flagged", "threshold", "percentile", "label"]
    assert list(right) == keys
    assert (right["laterality"], left["laterality"]) == ("R", "L")
    assert right["views"] == left["views"] == ["CC", "MLO"]
    assert right["study"] == left["study"] != other_breast["study"]
    assert right["percentile"] is None
    alone = [
        line["probabilities"]["Malignant"] for line in lines if "file" in line and line["laterality"] == "R"
    ][:2]
    assert min(alone) <= right["malignant"] <= max(alone) or alone[0] == pytest.approx(alone[1])


@pytest.mark.parametrize("flag", ['"specificity-90"', "0.999999", "0.000001"])
@pytest.mark.parametrize("shares", ["", "shares = {SHARES}\n"])
def test_nothing_that_is_said_of_a_breast_contradicts_another(
    monkeypatch, capsys, tmp_path, model, flag, shares
):
    """Report, heatmap, lines of JSON and the explained class agree on the flag and the class."""
    configuration = shares.format(
        SHARES="{normal = 0.7, benign = 0.1, benign_without_callback = 0.15, malignant = 0.05}"
    )
    config = tmp_path / "node.toml"
    config.write_text(f'[model]\nname = "{model}"\nflag = {flag}\n{configuration}', encoding="utf-8")
    folder = tmp_path / "in"
    folder.mkdir()
    for number, view in enumerate(("CC", "MLO"), start=1):
        write(mammogram("R", view, number=number, lesion=True), folder / f"{number}.dcm")
    drawn = []
    strip = legend.strip
    monkeypatch.setattr(
        legend, "strip", lambda finding, **words: drawn.append(finding) or strip(finding, **words)
    )
    run = CommandLine(monkeypatch, capsys)
    ended = run("analyze", "--config", config, folder, "--json", "--output", tmp_path / "out")
    assert ended.code == 0
    [breast] = breasts(ended.lines)
    images = [line for line in ended.lines if "file" in line]
    assert (breast["label"] == "Malignant") == breast["flagged"]
    assert breast["flagged"] == (breast["malignant"] >= breast["threshold"])
    for line in images:
        assert line["label"] == breast["label"]
        assert line["malignant_at_operating_point"] == breast["flagged"]
        assert (line["explained"] == "Malignant") == breast["flagged"]
        assert breast["label"] in {"Normal", line["explained"]}
        assert line["region"] is None or breast["label"] != "Normal"
    assert {finding.label.label for finding in drawn} == {breast["label"]}
    assert {finding.flagged for finding in drawn} == {breast["flagged"]}
    assert {finding.explained.label for finding in drawn} == {images[0]["explained"]}
    (report,) = [
        instance
        for instance in map(pydicom.dcmread, (tmp_path / "out").glob("*.dcm"))
        if instance.Modality == "SR"
    ]
    texts = results.comments(report)
    right = next(text for text in texts if text.startswith("Right breast"))
    assert right.startswith("Right breast: FLAGGED") == breast["flagged"]
    assert f"Class: {breast['label']} " in right
    findings = {item.ConceptCodeSequence[0].CodeMeaning for item in results.named(report, codes.FINDING)}
    assert breast["label"] in findings
    assert findings <= {breast["label"], images[0]["explained"]}


def test_the_view_with_an_implant_has_no_score_beside_its_displaced_view(secondread, tmp_path):
    whole = write(mammogram("R", "CC", number=1), tmp_path / "whole.dcm")
    displaced = write(mammogram("R", "CC", number=2, ViewPosition="RCCID"), tmp_path / "displaced.dcm")
    lines = {line.get("file"): line for line in secondread(whole, displaced, "--json").lines}
    assert (lines[str(whole)]["status"], lines[str(whole)]["probabilities"]) == ("refused", None)
    assert "implant-displaced view (ID) is read instead" in lines[str(whole)]["reason"]
    assert lines[str(displaced)]["status"] == "analysed"


def test_the_place_of_a_breast_comes_from_the_database_of_the_node(secondread, tmp_path, image, model):
    data = tmp_path / "data"
    database = Database.open(data)
    read = manifest.load(model)
    examine(
        database,
        [0.0] * 200,
        scanner=Scanner(manufacturer="Synthetic", model="SynMG"),
        network=Network(name=read.name, version=read.version),
        at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    database.close()
    (tmp_path / "node.toml").write_text(
        f'[node]\ndata_dir = "{data}"\n[model]\nname = "{model}"\n', encoding="utf-8"
    )
    (breast,) = breasts(secondread(image, "--json").lines)
    assert breast["percentile"] == 100


@pytest.mark.parametrize("name", ["a-damaged.dcm", "z-damaged.dcm"])
def test_damaged_copy_of_an_image_does_not_push_it_out_of_its_breast(secondread, tmp_path, name):
    for number, view in enumerate(["CC", "MLO"], start=1):
        write(mammogram("L", view, number=number, lesion=True), tmp_path / f"m{number}.dcm")
    (sound,) = breasts(secondread(tmp_path, "--json").lines)
    whole = (tmp_path / "m1.dcm").read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    lines = secondread(tmp_path, "--json").lines
    assert sorted(line["status"] for line in lines if "file" in line) == ["analysed", "analysed", "failed"]
    assert breasts(lines) == [sound]
    assert sound["views"] == ["CC", "MLO"]


def test_most_suspicious_of_several_files_with_one_uid_counts_and_the_rest_are_named(secondread, tmp_path):
    write(mammogram("L", "CC", lesion=False), tmp_path / "1.dcm")
    write(mammogram("L", "CC", lesion=True), tmp_path / "2.dcm")
    (tmp_path / "3.dcm").write_bytes((tmp_path / "2.dcm").read_bytes())
    alone = [
        breasts(secondread(path, "--json").lines)[0]["malignant"] for path in sorted(tmp_path.glob("?.dcm"))
    ]
    lines = secondread(tmp_path, "--json").lines
    (breast,) = breasts(lines)
    assert alone[0] != alone[1] == alone[2]
    assert breast["malignant"] == max(alone)
    named = [line["reason"] is not None for line in lines if "file" in line]
    assert named == [score != max(alone) for score in alone]
    (reason, *_) = [line["reason"] for line in lines if line.get("reason")]
    assert reason == analyze_study.CONTRADICTION

"""Names and descriptions as bytes of the world's character sets, each with the text that it is."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from inference.options import MeasuredImage
from inference.reading import attributes
from inference.reading import mammogram as exam
from inference.reading.options import ReadingOptions
from tests.support import results
from tests.support.mammograms import mammogram


@dataclass(frozen=True)
class Case:
    """A person's name and a description of at most 64 characters, in the sets that a header declares."""

    declared: str | list[str] | None
    name_bytes: bytes
    name: str
    description_bytes: bytes
    description: str
    site: str = ""
    """The site's own set, for headers that declare none."""


def _in(declared, encoding, name, description, site=""):
    return Case(declared, name.encode(encoding), name, description.encode(encoding), description, site)


YAMADA = "\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046"
IGARASHI = "\u4e94\u5341\u5d50^\u5341"
"""Its kanji for ten is two equals signs in JIS X 0208, a backslash in Shift JIS."""
HONG = "Hong^Gildong=\u6d2a^\u5409\u6d1e=\ud64d^\uae38\ub3d9"
WANG = "Wang^XiaoDong=\u738b^\u5c0f\u4e1c="
ZHANG = "Zhang^XiaoDong=\u5f20^\u5c0f\u4e1c="
IVANOV, BREAST_RU = (
    "\u0418\u0432\u0430\u043d\u043e\u0432\u0430^\u0410\u043d\u043d\u0430",
    "\u041c\u0430\u043c\u043c\u043e\u0433\u0440\u0430\u0444\u0438\u044f",
)
DIONYSIOS, BREAST_GR = (
    "\u0394\u03b9\u03bf\u03bd\u03c5\u03c3\u03b9\u03bf\u03c2",
    "\u039c\u03b1\u03c3\u03c4\u03bf\u03b3\u03c1\u03b1\u03c6\u03af\u03b1",
)

STANDARD = {
    "PS3.5 H.3.1 Japanese with kanji": Case(
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        f"Yamada^Tarou={YAMADA}",
        b"\x1b$B==$H;0\x1b(B (10)",
        "\u5341\u3068\u4e09 (10)",
    ),
    "PS3.5 H.3.2 Japanese with half-width katakana": Case(
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        f"\uff94\uff8f\uff80\uff9e^\uff80\uff9b\uff73={YAMADA}",
        b"\xcf\xdd\xd3 MG",
        "\uff8f\uff9d\uff93 MG",
    ),
    "Japanese whose bytes are delimiters": Case(
        ["", "ISO 2022 IR 87"],
        b"Igarashi^Juu=\x1b$B8^==Mr\x1b(B^\x1b$B==\x1b(B",
        f"Igarashi^Juu={IGARASHI}",
        b"plain",
        "plain",
    ),
    "Japanese of JIS X 0212": Case(
        ["", "ISO 2022 IR 87", "ISO 2022 IR 159"],
        b"A^B=\x1b$(D" + "\u4e02".encode("iso2022_jp_2")[4:6] + b"\x1b(B^\x1b$BB@O:\x1b(B",
        "A^B=\u4e02^\u592a\u90ce",
        b"MG",
        "MG",
    ),
    "PS3.5 I.2 Korean": Case(
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        HONG,
        b"The 1st line \x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf.",
        "The 1st line \uae40\ud76c\uc911.",
    ),
    "PS3.5 J.1 Chinese in UTF-8": _in("ISO_IR 192", "utf-8", WANG, "\u4e73\u817a X \u7ebf"),
    "PS3.5 J.3 Chinese in GB18030": _in("GB18030", "gb18030", WANG, "\u4e73\u817a X \u7ebf"),
    "Chinese whose second byte is a backslash": _in(
        "GB18030", "gb18030", "Wang^A=\u4e57^\u6630", "\u4e57 MG"
    ),
    "PS3.5 J.4 Chinese in GBK": _in("GBK", "gbk", WANG, "\u4e73\u817a"),
    "PS3.5 K.2 Chinese in GB 2312": Case(
        ["", "ISO 2022 IR 58"],
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        ZHANG,
        b"1.\x1b$)A\xb5\xda\xd2\xbb\xd0\xd0",
        "1.\u7b2c\u4e00\u884c",
    ),
    "Cyrillic": _in("ISO_IR 144", "iso8859_5", IVANOV, BREAST_RU),
    "Cyrillic by code extension": Case(
        ["ISO 2022 IR 100", "ISO 2022 IR 144"],
        b"M\xfcller^\x1b-L" + "\u0410\u043d\u043d\u0430".encode("iso8859_5") + b"^\xc9",
        "M\u00fcller^\u0410\u043d\u043d\u0430^\u00c9",
        b"\x1b-L" + BREAST_RU.encode("iso8859_5"),
        BREAST_RU,
    ),
    "Greek": _in("ISO_IR 126", "iso8859_7", DIONYSIOS, BREAST_GR),
    "Latin-1": _in("ISO_IR 100", "latin-1", "\u00c4neas^R\u00fcdiger", "M\u00e4mmographie"),
    "Latin-2": _in("ISO_IR 101", "iso8859_2", "Wa\u0142\u0119sa^\u0141ucja", "\u0107wiczenie"),
    "Latin-5": _in("ISO_IR 148", "iso8859_9", "\u00c7avu\u015fo\u011flu^\u0130pek", "G\u00f6\u011f\u00fcs"),
    "Latin-9": _in("ISO_IR 203", "iso8859_15", "L\u0152uvre^\u017dofia", "70 \u20ac"),
    "Thai": _in("ISO_IR 166", "iso8859_11", "\u0e19\u0e32\u0e22^\u0e01", "\u0e40\u0e15\u0e49\u0e32"),
    "Arabic": _in(
        "ISO_IR 127",
        "iso8859_6",
        "\u0642\u0628\u0627\u0646\u064a^\u0644\u0646\u0632\u0627\u0631",
        "\u062b\u062f\u064a",
    ),
    "Hebrew": _in(
        "ISO_IR 138", "iso8859_8", "\u05e9\u05e8\u05d5\u05df^\u05d3\u05d1\u05d5\u05e8\u05d4", "\u05e9\u05d3"
    ),
}

BROKEN = {
    "UTF-8 declared, Latin-1 written": _in("ISO_IR 192", "latin-1", "M\u00fcller^Zo\u00eb", "M\u00e4dchen"),
    "Latin-1 declared, UTF-8 written": _in("ISO_IR 100", "utf-8", "Stra\u00dfe^\u00c0", "gro\u00df \u00c0"),
    "nothing declared, Cyrillic of the site": _in(None, "cp1251", IVANOV, BREAST_RU, site="cp1251"),
    "UTF-8 declared, Shift JIS of the site": _in(
        "ISO_IR 192", "shift_jis", IGARASHI, "\u5341", site="shift_jis"
    ),
    "unknown set declared": _in("ISO_IR 999", "latin-1", "M\u00fcller^Zo\u00eb", "M\u00e4dchen"),
    "set misspelt": _in("ISO-IR 144", "iso8859_5", IVANOV, BREAST_RU),
    "kanji of which half a character is lost": Case(
        ["", "ISO 2022 IR 87"], b"A^B=\x1b$B;3E\x1b(B^C", "A^B=;3E^C", b"\x1b$B;", ";"
    ),
    "kanji left by a delimiter without an escape": Case(
        ["", "ISO 2022 IR 87"],
        b"A=\x1b$B;3ED^\x1b$BB@O:\x1b(B",
        "A=\u5c71\u7530^\u592a\u90ce",
        b"MG",
        "MG",
    ),
    "Korean that designates its set once": Case(
        ["", "ISO 2022 IR 149"], b"A=\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7", "A=\u6d2a^\u5409\u6d1e", b"MG", "MG"
    ),
    "escape to a set that is not declared": Case(
        "ISO_IR 100", b"\x1b-L" + IVANOV[:7].encode("iso8859_5"), IVANOV[:7], b"MG", "MG"
    ),
    "escape to no set at all": Case("ISO_IR 192", b"A\x1bxB^\xfc", "AxB^\u00fc", b"\x1b", ""),
}


def written(case: Case, path: Path) -> Path:
    """Write a mammogram with the bytes of ``case`` to ``path``; its header declares what the case says."""
    name, description = (raw + b" " * (len(raw) % 2) for raw in (case.name_bytes, case.description_bytes))
    issuer = Dataset()
    issuer.PatientID, issuer.TypeOfPatientID, issuer.IssuerOfPatientID = "77", "TEXT", "D" * len(description)
    header = mammogram(
        rows=320,
        columns=256,
        patient_name="N" * len(name),
        ReferringPhysicianName="N" * len(name),
        StudyDescription="D" * len(description),
        OtherPatientIDsSequence=[issuer],
        SpecificCharacterSet="X",
    )
    with attributes.tolerant():  # of sets that pydicom does not know
        header["SpecificCharacterSet"].value = case.declared
        header.save_as(path, enforce_file_format=True)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"N" * len(name), name).replace(b"D" * len(description), description))
    return path


def results_of(case: Case, folder: Path) -> list[Path]:
    """Build report and heatmap of the mammogram that holds ``case``; return their files."""
    path = written(case, folder / "source.dcm")
    with attributes.tolerant():
        source = exam.read(path, ReadingOptions(character_set=case.site))
    finding = results.measured()
    layers = results.study_image(mammogram(), finding, folder).layers
    image = MeasuredImage(source=source, finding=finding, analysed_at=results.ANALYSED_AT, layers=layers)
    files = []
    for instance in results.objects([image]):
        files.append(folder / f"{instance.Modality}.dcm")
        instance.save_as(files[-1], enforce_file_format=True)
    return files

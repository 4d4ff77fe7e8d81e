"""Objects of one patient whose name, birth date and numbers stand nowhere else: sound, broken, refused.

Whatever the node writes besides images and results may hold none of `SECRETS`.
"""

import io
from dataclasses import dataclass
from pathlib import Path

from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless, SecondaryCaptureImageStorage
from pynetdicom import _config
from pynetdicom.presentation import build_context

from tests.support.mammograms import mammogram
from tests.support.scu import associate

FAMILY, GIVEN_NAME, PHYSICIAN = "QUETZALCOATLOVNA", "Zinfandelina", "Wolperdingerius"
BIRTH, ACCESSION, PATIENT_ID = "19371104", "AXZ7719QK", "PZ88131XJ"

SECRETS = (FAMILY, GIVEN_NAME, PHYSICIAN, "山田", BIRTH, "1937-11-04", ACCESSION, PATIENT_ID)
"""What must not be found, in small or capital letters."""


def forms(secret):
    """Return the bytes that ``secret`` may be written as: encodings of texts, of JSON and of ``repr``."""
    texts = {secret.casefold(), secret.casefold().encode("unicode_escape").decode()}
    return {text.encode(coding) for text in texts for coding in ("utf-8", "utf-16-le", "utf-16-be")}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One object of the corpus and whether the node should keep it (None: either will do)."""

    label: str
    path: Path
    is_kept: bool | None


def image(number, **attributes):
    """Return a sound mammogram of the patient."""
    return mammogram(
        "R" if number % 2 else "L",
        study="known",
        number=number,
        patient_name=f"{FAMILY}^{GIVEN_NAME}=山田^太郎",
        **{
            "PatientBirthDate": BIRTH,
            "AccessionNumber": ACCESSION,
            "PatientID": PATIENT_ID,
            "ReferringPhysicianName": PHYSICIAN,
            "SeriesDescription": f"{FAMILY} R CC",
        }
        | attributes,
    )


UNTRUE = {
    "WindowCenter": b"DS",
    "ImagerPixelSpacing": b"DS",
    "InstanceNumber": b"IS",
    "PatientAge": b"AS",
    "PatientBirthDate": b"DA",
    "StudyDate": b"DA",
    "StudyTime": b"TM",
    "ImageLaterality": b"CS",
    "ViewPosition": b"CS",
    "PhotometricInterpretation": b"CS",
    "PresentationLUTShape": b"CS",
    "SpecificCharacterSet": b"CS",
}
"""Attributes that hold the name instead of what their value representation asks for."""


def corpus(folder):
    """Write the objects to ``folder``; return them in the order in which they are to be sent."""
    folder.mkdir()
    sent = []

    def add(label, data, *, is_kept=None):
        path = folder / f"{len(sent)}.dcm"
        path.write_bytes(data)
        sent.append(Sent(label=label, path=path, is_kept=is_kept))

    add("sound", encoded(image(1)), is_kept=True)
    add("sound, other side", encoded(image(2)), is_kept=True)
    add("for processing", encoded(image(3, for_processing=True)), is_kept=True)
    add("same UID, other pixels", collision(image(1)), is_kept=False)
    for number, (keyword, vr) in enumerate(UNTRUE.items(), 10):
        add(f"a name as {keyword}", with_name_as(image(number), keyword, vr))
    whole = encoded(image(40))
    add("cut off", whole[: len(whole) // 2 * 2 - 100_000])
    add("undecodable", undecodable(image(41)), is_kept=True)
    add("no patient ID", encoded(image(42, PatientID="")), is_kept=False)
    add("no UID of a study", encoded(image(43, StudyInstanceUID=FAMILY)), is_kept=False)
    add(
        "no mammogram",
        encoded(image(44, sop_class=SecondaryCaptureImageStorage, Modality="OT")),
        is_kept=True,
    )
    add("no data set", whole[: start_of_data_set(whole)] + FAMILY.encode() * 50, is_kept=False)
    add("a name as UID", named(image(45)), is_kept=False)
    return sent


def encoded(data_set):
    """Return the bytes of ``data_set`` as a file."""
    stream = io.BytesIO()
    data_set.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def start_of_data_set(file):
    """Return where the data set begins: behind the File Meta Information, whose length it tells."""
    length = int.from_bytes(file[140:144], "little")  # preamble, DICM, then (0002,0000) UL
    return 144 + length


def collision(data_set):
    data_set.PixelData = bytes(len(data_set.PixelData))
    return encoded(data_set)


def with_name_as(data_set, keyword, vr):
    """Return the file with the family name where ``keyword`` wants something else."""
    tag = data_set[keyword].tag
    data_set.add_new(tag, "LO", FAMILY)
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    return encoded(data_set).replace(head + b"LO", head + vr, 1)


def undecodable(data_set):
    data_set.PixelData = encapsulate([FAMILY.encode() * 20])
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    data_set.file_meta.TransferSyntaxUID = JPEGLSLossless
    return encoded(data_set)


def named(data_set):
    """Return the file with the family name as SOP Instance UID, in its meta information too."""
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = FAMILY
    return encoded(data_set)


def send(port, corpus, monkeypatch):
    """Store the objects byte by byte as they are; return their answers by what they are."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    mammograms = str(image(1).SOPClassUID), str(image(1, for_processing=True).SOPClassUID)
    contexts = [build_context(item) for item in (*mammograms, SecondaryCaptureImageStorage)]
    contexts.append(build_context(mammograms[0], JPEGLSLossless))
    association = associate(port, contexts)
    assert association.is_established
    try:
        return {case.label: association.send_c_store(case.path).get("Status") for case in corpus}
    finally:
        association.release()

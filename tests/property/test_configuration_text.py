"""Whatever stands in the configuration file or the environment: settings, or a sentence about it."""

import string

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scp.configuration import settings as config
from scp.configuration.errors import ConfigError
from scp.configuration.settings import Settings

SECTIONS = {name: field.annotation for name, field in Settings.model_fields.items() if name != "peers"}
KEYS = sorted({key for section in SECTIONS.values() for key in section.model_fields} | {"ae_title", "host"})
WORDS = st.text(string.printable, max_size=20)
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["true", "false", "[]", "{}", "1979-05-27", '["a"]', "[[1]]", '"PACS"', "'.'", '"\\u0000"']
    ),
    WORDS.map(lambda word: '"' + word.replace("\\", "").replace('"', "") + '"'),
)
HEADERS = st.sampled_from(
    [*(f"[{name}]" for name in SECTIONS), "[[peers]]", "[peers]", "[[node]]", "[other]"]
)
LINES = st.one_of(HEADERS, st.builds(lambda key, value: f"{key} = {value}", st.sampled_from(KEYS), VALUES))
NAMES = st.builds(
    lambda section, key: f"SECONDREAD_{section}__{key}".upper(),
    st.sampled_from([*SECTIONS, "peers", "other", ""]),
    st.sampled_from([*KEYS, "", "a__b"]),
)

quickly = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("configuration") / "node.toml"


def is_understood_or_explained(file, content, environ):
    file.write_bytes(content)
    try:
        understood = config.load(file, environ)
    except ConfigError as error:
        explained = str(error)
    else:
        explained = str(file) if isinstance(understood, Settings) else ""
    assert str(file) in explained


@quickly
@given(content=st.binary(max_size=200))
@example(content=b"[node]\nport = " + b"1" * 5000)
@example(content=b"peers = " + b"[" * 5000)
@example(content=b"\xff\xfe[node]")
@example(content=b'[node]\ndata_dir = "~nobody-of-this-name/data"')
@example(content=b'[model]\nname = "~nobody-of-this-name/model"')
@example(content=b'[tls]\nkey = "~nobody-of-this-name/key.pem"')
@example(content=b'[node]\ndata_dir = "a\\u0000b"')
def test_any_bytes(file, content):
    is_understood_or_explained(file, content, {})


@quickly
@given(lines=st.lists(LINES, max_size=12))
def test_any_keys_and_values(file, lines):
    is_understood_or_explained(file, "\n".join(lines).encode(), {})


@quickly
@given(environ=st.dictionaries(NAMES, st.one_of(VALUES, WORDS), max_size=3))
@example(environ={"SECONDREAD_NODE__PORT": "1" * 5000})
def test_any_environment(file, environ):
    is_understood_or_explained(file, b"", environ)

"""Every page of the console in a real browser: at three sizes, in both themes, with axe-core, and an upload.

The driver and axe-core come with ``npm ci --prefix tests/browser``, Chromium from Debian.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scp.console import access
from storage import users
from tests.support import ungated
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram, standard_views, uid
from tests.support.peers import missing, require
from tests.support.web import Console

pytestmark = pytest.mark.timeout(600)

BROWSER = Path(__file__).parents[1] / "browser"
PASSWORD = "correct horse battery staple"
SIZE = {"rows": 1280, "columns": 1024}


@pytest.fixture(scope="module")
def observations(tmp_path_factory):
    if not (BROWSER / "node_modules/axe-core").is_dir():
        missing("axe-core and the driver of the browser are not installed: npm ci --prefix tests/browser")
    node, chromium, folder = require("node"), require("chromium"), tmp_path_factory.mktemp("chromium")
    node_of_pages = InProcessNode(folder)
    node_of_pages.receive(*standard_views(**SIZE))
    node_of_pages.work()
    node_of_pages.deliver()
    with node_of_pages.database.write() as tx:
        for name, role in (("ada", "admin"), ("vera", "viewer"), ("olaf", "operator")):
            password_hash = access.hashed(PASSWORD)
            users.add(tx, name, role=role, password_hash=password_hash, now=node_of_pages.now)
        users.grant(tx, "0" * 64, "vera", label="grafana", now=node_of_pages.now)
        users.set_disabled(tx, "olaf", disabled=True)
    node_of_pages.close()
    values = mammogram("L", "CC", lesion=True, **SIZE).pixel_array
    Image.fromarray((values / values.max() * 255).astype(np.uint8)).save(folder / "left.png")
    (folder / "words.png").write_bytes(b"no picture")
    (folder / "config.toml").write_text(
        f"""
[node]
data_dir = "data"
[model]
name = "{ungated.copy("document-cnn-1.2.0", folder / "model")}"
[[peers]]
ae_title = "PACS"
host = "127.0.0.1"
port = 104
"""
    )
    console = Console(folder / "config.toml")
    pictures = ",".join(str(folder / name) for name in ("left.png", "words.png"))
    address = f"http://127.0.0.1:{console.port}"
    words = [node, BROWSER / "console.mjs", address, chromium, uid("study", "1"), pictures]
    environment = {**os.environ, "CONSOLE_USER": f"ada:{PASSWORD}"}
    walk = subprocess.run(
        [str(word) for word in words], capture_output=True, timeout=550, check=False, env=environment
    )
    assert console.stop() == 0
    assert walk.returncode == 0, walk.stderr.decode()
    return json.loads(walk.stdout)


def test_axe_finds_nothing(observations):
    assert observations["violations"] == []


def test_every_page_fits_from_a_phone_to_a_wall(observations):
    assert observations["overflows"] == []


def test_no_page_fails_or_asks_anybody_else(observations):
    assert observations["errors"] == []
    assert observations["foreign"] == []


def test_an_upload_shows_progress_result_and_alert(observations):
    result, alert = observations["uploads"]
    assert "confidence" in result
    assert alert.startswith("No result")
    assert observations["faded"] == "0"


def test_the_keyboard_reaches_the_content_at_once(observations):
    assert (observations["first"], observations["skipped"]) == ("To the content", "main")

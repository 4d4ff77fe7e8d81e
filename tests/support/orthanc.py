"""A real Orthanc on loopback, in memory of one test: DICOM and REST on free ports, auto-forwarding by Lua."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.lines import PATIENCE
from tests.support.peers import free_port, require

AUTO_FORWARD = """
function OnStoredInstance(instanceId, tags, metadata)
   SendToModality(instanceId, 'secondread')
end
"""


class Orthanc:
    """Knows the node as the modality ``secondread``; ``with`` starts and ends it."""

    def __init__(
        self,
        folder: Path,
        *,
        node_port: int,
        auto_forward=False,
        port=None,
        ae_title="ORTHANC",
        plugins=(),
        **more,
    ):
        """``more``: options of its configuration, as they are named there."""
        self.program = require("Orthanc")
        self.port = port or free_port()
        self.rest_port = free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "forward.lua"
        script.write_text(AUTO_FORWARD if auto_forward else "")
        self.configuration = folder / "orthanc.json"
        self.configuration.write_text(
            json.dumps(
                {
                    "StorageDirectory": str(folder / "db"),
                    "IndexDirectory": str(folder / "db"),
                    "DicomAet": ae_title,
                    "DicomPort": self.port,
                    "HttpPort": self.rest_port,
                    "RemoteAccessAllowed": False,
                    "DicomAlwaysAllowStore": True,
                    "DicomAlwaysAllowMove": True,
                    "DicomModalities": {"secondread": ["SECONDREAD", "127.0.0.1", node_port]},
                    "LuaScripts": [str(script)],
                    "Plugins": [str(plugin) for plugin in plugins],
                    "StableAge": 1,
                    **more,
                }
            )
        )

    def __enter__(self):
        with (self.folder / "orthanc.log").open("wb") as log:
            self.process = subprocess.Popen([self.program, str(self.configuration)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.get("/system")
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, (self.folder / "orthanc.log").read_text()
                assert time.monotonic() < deadline, "Orthanc did not start"
                time.sleep(0.05)  # a foreign program's start has no event to wait for
            else:
                return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}{path}", timeout=30) as answer:
            return json.load(answer)

    def file(self, instance):
        return self._bytes(f"/instances/{instance}/file")

    def text(self, path):
        return self._bytes(path).decode()

    def _bytes(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}{path}", timeout=30) as answer:
            return answer.read()

    def post(self, path, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest_port}{path}", data=data, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def delete(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest_port}{path}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()

    def store(self, body):
        """Have it send what ``body`` names to the node; return the job once it has ended, with its errors."""
        job = self.post("/modalities/secondread/store", {**body, "Asynchronous": True})["ID"]
        deadline = time.monotonic() + 90
        while (state := self.get(f"/jobs/{job}"))["State"] not in ("Success", "Failure"):
            assert time.monotonic() < deadline, state
            time.sleep(0.1)  # Orthanc's REST interface can only be asked
        return state

    def wait_until_idle(self, seconds=90):
        """Wait until it has done all that it has begun, and done it well."""
        deadline = time.monotonic() + seconds
        while (states := {job["State"] for job in self.get("/jobs?expand")}) - {"Success"}:
            assert time.monotonic() < deadline, states
            assert "Failure" not in states
            time.sleep(0.1)  # Orthanc's REST interface can only be asked

    def upload(self, path: Path):
        return self.post("/instances", path.read_bytes())

    def instances(self, study_uid):
        """Modality and series of every instance of the study, by SOP Instance UID."""
        matches = self.post(
            "/tools/find",
            {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}, "Expand": True},
        )
        rows = {}
        for entry in matches:
            series = self.get(f"/instances/{entry['ID']}/series")["MainDicomTags"]
            rows[entry["MainDicomTags"]["SOPInstanceUID"]] = (
                series["Modality"],
                series["SeriesInstanceUID"],
                entry["ID"],
            )
        return rows

    def wait_for(self, study_uid, enough, seconds=PATIENCE):
        """Wait until ``enough`` of the study's instances holds; return them."""
        deadline = time.monotonic() + seconds
        while True:
            rows = self.instances(study_uid)
            if enough(rows):
                return rows
            assert time.monotonic() < deadline, (
                f"not enough within {seconds} s: {sorted(r[0] for r in rows.values())}"
            )
            time.sleep(0.2)  # Orthanc's REST interface can only be asked

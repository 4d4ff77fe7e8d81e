"""A real S3 server, SeaweedFS from its wheel: one for each test process, started when it is first wanted."""

import atexit
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from storage.files.client import Place
from tests.support.authority import Authority
from tests.support.peers import free_port, require

KEY, SECRET = "ACCESSKEY", "secret-of-the-tests"
READER = "READERSKEY"
"""Of who may list and read, and nothing else."""
_numbers = itertools.count(1)
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


class S3Server:
    """A server with its data in a folder, which it has again when it is started again."""

    def __init__(self, address="127.0.0.1"):
        self.address = address
        self.folder = Path(tempfile.mkdtemp(prefix="s3-"))
        self.process = None
        self.log = self.folder / "log"
        (self.folder / "data").mkdir()
        identity = {
            "name": "secondread",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        reader = {
            "name": "reader",
            "credentials": [{"accessKey": READER, "secretKey": SECRET}],
            "actions": ["Read", "List"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity, reader]}))
        self.ports = {name: free_port() for port in PORTS for name in (port, f"{port}.grpc")}
        authority = Authority(self.folder / "tls")
        self.certificate, self.key = authority.sign("s3")
        self.authorities = authority.pem
        self.ports["s3.port.https"] = free_port()
        self.https_endpoint = f"https://{address}:{self.ports['s3.port.https']}"
        self.endpoint = f"http://{address}:{self.ports['s3.port']}"

    def start(self):
        """Start it and wait until it answers; its ports stay the same."""
        options = {
            "dir": self.folder / "data",
            "ip": self.address,
            "ip.bind": self.address,
            "filer": "true",
            "s3": "true",
            "s3.config": self.folder / "s3.json",
            "s3.autoCreateBucket": "false",
            "s3.cert.file": self.certificate,
            "s3.key.file": self.key,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.electionTimeout": "1s",  # it is the only one, and would wait ten for others
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.max": 50,
            "volume.minFreeSpacePercent": 0,
            **self.ports,
        }
        words = [f"-{name}={value}" for name, value in options.items()]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", require("weed"), "-logtostderr=true", "server", *words],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)  # nothing tells when it is ready
        return self

    def kill(self):
        """End it as a power cut does, but that the machine goes on."""
        self.process.kill()
        self.process.wait(60)
        for port in self.ports.values():  # sockets that it makes there, wherever its data are
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - as above
                path.unlink()

    def remove(self):
        """End it and remove all that it had."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, bucket):
        """Make a bucket and return its name."""
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def names(self, bucket, prefix=""):
        """Return the keys in a bucket that begin with ``prefix``, without it."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        entries = [entry for page in pages for entry in page.get("Contents", ())]
        return [entry["Key"].removeprefix(prefix).removeprefix("/") for entry in entries]

    def client(self):
        """Return a client of the server."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def _answers(self):
        try:
            client = self.client()
            if "probe" not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="probe", Body=b"probe")
        except (BotoCoreError, ClientError):
            return False
        return True


def place(**changes):
    """Return a prefix of a bucket that nobody else uses; ``changes`` are of it."""
    common = {"bucket": bucket(), "endpoint": shared().endpoint, "key": KEY, "secret": SECRET}
    return Place(**{**common, "prefix": f"nodes/{next(_numbers)}", **changes})


def section(place, credentials):
    """Return the configuration's section about a place; ``credentials`` is a file to write them into."""
    credentials.write_text(f"{place.key}:{place.secret}\n")
    credentials.chmod(0o600)
    return f"""
[files]
url = "{place.url}"
endpoint = "{place.endpoint}"
credentials = "{credentials}"
"""


@cache
def bucket():
    """Return the bucket of this test process."""
    return shared().create("files")


@cache
def shared():
    """Return the server of this test process, gone with the process."""
    server = S3Server()
    atexit.register(server.remove)
    return server.start()

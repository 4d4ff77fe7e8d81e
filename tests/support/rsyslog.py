"""A real rsyslogd on loopback: TCP, UDP and TLS, a file for what came by each."""

import subprocess
import time

from tests.support.peers import free_port, require

CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="64k"
    defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{tls.authorities}"
    defaultNetstreamDriverCertFile="{tls.certificate}" defaultNetstreamDriverKeyFile="{tls.key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
module(load="imptcp")
module(load="imudp")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="tls") {{ action(type="omfile" file="{folder}/tls" template="raw" asyncWriting="off") }}
ruleset(name="tcp") {{ action(type="omfile" file="{folder}/tcp" template="raw" asyncWriting="off") }}
ruleset(name="udp") {{ action(type="omfile" file="{folder}/udp" template="raw" asyncWriting="off") }}
input(type="imtcp" port="{ports[tls]}" address="127.0.0.1" ruleset="tls")
input(type="imptcp" port="{ports[tcp]}" address="127.0.0.1" ruleset="tcp")
input(type="imudp" port="{ports[udp]}" address="127.0.0.1" ruleset="udp")
"""


class Rsyslog:
    """``with`` starts and ends it; ``ports`` are those of "tls", "tcp" and "udp"."""

    def __init__(self, folder, tls):
        self._program = require("rsyslogd")
        self.folder = folder
        self.ports = {name: free_port() for name in ("tls", "tcp", "udp")}
        self._configuration = folder / "rsyslog.conf"
        self._configuration.write_text(CONFIGURATION.format(folder=folder, tls=tls, ports=self.ports))
        self._process = None

    def __enter__(self):
        words = [self._program, "-n", "-i", str(self.folder / "pid"), "-f", str(self._configuration)]
        with (self.folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(words, stderr=errors)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(30)

    def messages(self, way, number):
        """Wait until ``number`` messages came by ``way``; return them."""
        deadline = time.monotonic() + 30
        file = self.folder / way
        while time.monotonic() < deadline:
            lines = file.read_bytes().splitlines() if file.exists() else []
            if len(lines) >= number:
                return lines
            time.sleep(0.05)  # another program's file tells nobody
        errors = (self.folder / "stderr").read_text()
        raise AssertionError(f"not {number} messages came by {way}: {errors[-2000:]}")

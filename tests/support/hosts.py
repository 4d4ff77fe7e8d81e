"""Hosts that are network namespaces of this machine on one bridge: each can be cut off from all others.

Needs root, and iproute2's ``ip``. What is outside them (database, PACS, modalities) has the bridge's address.
"""

import contextlib
import secrets
import subprocess

NETWORK = "10.213.7"
"""Of /24; nobody routes it."""


def _ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True)


class Namespaces:
    """Makes a host when its number is first asked for; `remove` takes all away."""

    pacs = f"{NETWORK}.1"
    network = f"{NETWORK}.0/24"

    def __init__(self):
        self._mark = secrets.token_hex(2)
        self._bridge = f"sr{self._mark}"
        self._numbers: set[int] = set()
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self.pacs}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    def address(self, number):
        """Return where the host ``number`` is reached."""
        return f"{NETWORK}.{number + 10}"

    def namespace(self, number):
        """Return the name of the network namespace of the host ``number``."""
        name = f"sr{self._mark}-{number}"
        if number not in self._numbers:
            self._numbers.add(number)
            _ip("netns", "add", name)
            _ip("link", "add", self._cable(number), "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", self._cable(number), "master", self._bridge, "up")
            _ip("-netns", name, "address", "add", f"{self.address(number)}/24", "dev", "eth0")
            _ip("-netns", name, "link", "set", "eth0", "up")
            _ip("-netns", name, "link", "set", "lo", "up")
        return name

    def cut(self, number):
        """Pull the cable of the host ``number``: what it sends is lost without a word."""
        _ip("link", "set", self._cable(number), "nomaster")

    def join(self, number):
        """Put the cable back."""
        _ip("link", "set", self._cable(number), "master", self._bridge)

    def remove(self):
        """Remove every host and the bridge."""
        for number in self._numbers:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", f"sr{self._mark}-{number}")
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self._bridge)

    def _cable(self, number):
        return f"sr{self._mark}v{number}"

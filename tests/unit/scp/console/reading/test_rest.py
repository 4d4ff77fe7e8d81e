"""What reads uploads rests while images come in, goes on in time, and does not outlive who has stopped it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scp.console.reading.rest import LOOK_SECONDS, MOST_FILES, QUIET_SECONDS, Reception, Rest
from storage.files import local
from tests.support.node_process import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing rests elsewhere")

STARTER = """
import subprocess, sys
reader = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
reader.stdout.readline()
reader.send_signal(19)
print(reader.pid, flush=True)
sys.stdin.read()
"""
READER = """
import time
from scp.process import parent
parent.die_with_starter()
print("ready", flush=True)
time.sleep(100)
"""


@pytest.fixture
def incoming(tmp_path):
    local.make_folders(tmp_path, [local.INCOMING])
    return tmp_path / local.INCOMING


class Looker:
    """Asks one `Reception` at moments of its own clock."""

    def __init__(self, data_dir):
        self.now = 0.0
        self.reception = Reception(data_dir, clock=lambda: self.now)

    async def after(self, seconds):
        self.now += seconds
        return await self.reception.goes_on()


def test_images_come_in_from_the_first_change_until_a_while_after_the_last(incoming):
    async def follow():
        image = incoming / "image.dcm"
        image.write_bytes(b"left by an earlier node")
        look = Looker(incoming.parent)
        assert not await look.after(LOOK_SECONDS)
        with image.open("ab") as file:
            file.write(b"more")
        assert await look.after(LOOK_SECONDS)
        assert await look.after(0.9 * QUIET_SECONDS)
        image.unlink()
        assert await look.after(LOOK_SECONDS / 2)
        assert await look.after(0.9 * QUIET_SECONDS)
        assert not await look.after(0.2 * QUIET_SECONDS)
        image.touch()
        assert not await look.after(2 * QUIET_SECONDS), "nobody has asked for long: it is old"

    asyncio.run(follow())


def test_without_a_folder_nothing_comes_in(tmp_path):
    assert not asyncio.run(Looker(tmp_path / "nowhere").after(0.0))


def test_a_folder_that_cannot_be_read_has_not_changed(incoming):
    async def follow():
        look = Looker(incoming.parent)
        await look.after(0.0)
        incoming.rmdir()
        incoming.symlink_to(incoming)  # ELOOP, as EIO or ESTALE of a disk that is away
        assert not await look.after(LOOK_SECONDS)
        incoming.unlink()
        incoming.mkdir()
        assert await look.after(LOOK_SECONDS)

    asyncio.run(follow())


def test_a_disk_that_hangs_holds_up_one_look_and_nobody_who_asks(incoming, monkeypatch):
    looks, awake = [], threading.Event()

    def hang(*_arguments, **_limits):
        looks.append(1)
        awake.wait(20)
        return 0, 0

    monkeypatch.setattr(local, "unfinished", hang)

    async def follow():
        look = Looker(incoming.parent)
        try:
            async with asyncio.timeout(10):
                answers = await asyncio.gather(*(look.after(QUIET_SECONDS) for _ in range(5)))
                answers.append(await look.after(QUIET_SECONDS))
        finally:
            awake.set()
        assert not any(answers)
        assert len(looks) == 1

    asyncio.run(follow())


def test_of_many_leftovers_some_are_looked_at(incoming):
    for number in range(MOST_FILES + 100):
        (incoming / f"{number}.dcm").write_bytes(b"ab")
    assert local.unfinished(incoming.parent) == (MOST_FILES + 100, 2 * MOST_FILES + 200)
    assert local.unfinished(incoming.parent, most_files=MOST_FILES) == (MOST_FILES, 2 * MOST_FILES)


def is_stopped(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)  # nothing tells when another process stops
    raise AssertionError("not within 20 seconds")


async def receive(incoming):
    """Let an image come in again and again."""
    while True:
        (incoming / "image.dcm").touch()
        await asyncio.sleep(0.02)
        (incoming / "image.dcm").unlink()


async def idle():
    return await asyncio.create_subprocess_exec("sleep", "100")


def test_a_process_rests_while_images_come_in_and_goes_on_afterwards(incoming):
    async def follow():
        process, rest = await idle(), Rest(Reception(incoming.parent), most_seconds=1000.0)
        async with rest.watched(process):
            receiving = asyncio.create_task(receive(incoming))
            began = time.monotonic()
            await until(lambda: rest.going_on and is_stopped(process))
            resting = time.monotonic()
            await asyncio.sleep(0.3)
            receiving.cancel()
            least = time.monotonic() - resting
            await until(lambda: not rest.going_on and not is_stopped(process))
            assert least <= rest.seconds <= time.monotonic() - began
        rest.begin()
        assert rest.seconds == 0
        process.kill()
        await process.wait()

    asyncio.run(follow())


def test_it_rests_no_longer_than_it_may_and_not_when_nobody_watches(incoming):
    async def follow():
        process, rest = await idle(), Rest(Reception(incoming.parent), most_seconds=0.3)
        receiving = asyncio.create_task(receive(incoming))
        async with rest.watched(process):
            await until(lambda: rest.going_on)
            await until(lambda: not rest.going_on)
            assert rest.seconds >= 0.3
        rest.begin()
        async with rest.watched(process):
            await until(lambda: rest.going_on)
        await until(lambda: not is_stopped(process))
        rest.begin()
        async with rest.watched(process):
            await until(lambda: rest.going_on)
            process.kill()
        receiving.cancel()
        assert await process.wait() == -signal.SIGKILL

    asyncio.run(follow())


def test_a_reader_that_rests_dies_with_a_console_that_is_killed():
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, READER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    reader = os.pidfd_open(int(starter.stdout.readline()))
    starter.kill()
    starter.communicate()
    ended, _, _ = select.select([reader], [], [], 20)
    os.close(reader)
    assert ended

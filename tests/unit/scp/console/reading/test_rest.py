"""What reads uploads rests while images come in, goes on in time, and does not outlive who has stopped it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scp.console.reading.rest import QUIET_SECONDS, Reception, Rest
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


def test_images_come_in_from_the_first_change_until_a_while_after_the_last(incoming):
    now = 0.0
    image = incoming / "image.dcm"
    image.write_bytes(b"left by an earlier node")
    reception = Reception(incoming.parent, clock=lambda: now)
    assert not reception.goes_on()
    with image.open("ab") as file:
        file.write(b"more")
    assert reception.goes_on()
    now += 0.9 * QUIET_SECONDS
    assert reception.goes_on()
    image.unlink()
    assert reception.goes_on()
    now += 0.9 * QUIET_SECONDS
    assert reception.goes_on()
    now += 0.2 * QUIET_SECONDS
    assert not reception.goes_on()


def test_without_a_folder_nothing_comes_in(tmp_path):
    assert not Reception(tmp_path / "nowhere").goes_on()


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
        process, rest = await idle(), Rest(incoming.parent, most_seconds=1000.0)
        async with rest.watched(process):
            receiving = asyncio.create_task(receive(incoming))
            await until(lambda: rest.going_on and is_stopped(process))
            receiving.cancel()
            await until(lambda: not rest.going_on and not is_stopped(process))
            assert rest.seconds > 0
        process.kill()
        await process.wait()

    asyncio.run(follow())


def test_it_rests_no_longer_than_it_may_and_not_when_nobody_watches(incoming):
    async def follow():
        process, rest = await idle(), Rest(incoming.parent, most_seconds=0.3)
        receiving = asyncio.create_task(receive(incoming))
        async with rest.watched(process):
            await until(lambda: rest.going_on)
            await until(lambda: not rest.going_on)
            assert rest.seconds == pytest.approx(0.3)
        async with rest.watched(process):
            await until(lambda: rest.going_on)
        await until(lambda: not is_stopped(process))
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

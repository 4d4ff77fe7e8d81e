"""File systems of a few megabytes that can be filled up, closed to writing, and broken, for real."""

import contextlib
import subprocess
from pathlib import Path

from tests.support.peers import missing, require


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave_mb=0):
        """Take all room but ``leave_mb`` megabytes."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        if leave_mb:
            with self._ballast.open("r+b") as file:
                file.truncate(self._ballast.stat().st_size - leave_mb * 1_000_000)

    def make_room(self):
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def forbid_writing(self, folder: Path):
        """Make ``folder`` read-only for whoever opens something there; what is open stays writable."""
        _run("mount", "--bind", folder, folder)
        _run("mount", "-o", "remount,bind,ro", folder)

    def permit_writing(self, folder: Path):
        """Undo `forbid_writing`."""
        _run("umount", "--lazy", folder)


class FrailDisk:
    """An ext4 in a file, which the kernel makes read-only at the first error, open files included."""

    def __init__(self, folder: Path, image: Path):
        self.folder = folder
        self._image = image

    def mount(self):
        """Mount it; skip the test where that is not permitted."""
        _run_or_skip("mount", "-o", "loop,errors=remount-ro", self._image, self.folder)

    def fail(self):
        """Let the kernel find an error, as it does after a bad block."""
        device = Path(_run("findmnt", "-no", "SOURCE", self.folder).strip()).name
        Path("/sys/fs/ext4", device, "trigger_fs_error").write_text("a test")

    def repair(self):
        """What an administrator does when nobody uses it any more: unmount, check, mount."""
        _run("umount", self.folder)
        _run("fsck.ext4", "-fy", self._image, accepted=(0, 1))
        self.mount()


@contextlib.contextmanager
def mounted(folder: Path, *, megabytes: int):
    """Mount a tmpfs at ``folder``; skip the test where that is not permitted."""
    folder.mkdir()
    _run_or_skip("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", folder)
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", folder)


@contextlib.contextmanager
def frail(folder: Path, *, megabytes: int):
    """Mount an ext4 at ``folder`` that can fail; skip the test where that is not permitted."""
    folder.mkdir()
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    _run(require("mkfs.ext4"), "-q", "-F", "-m", "0", image)
    disk = FrailDisk(folder, image)
    disk.mount()
    try:
        yield disk
    finally:
        _run("umount", "--lazy", folder)


def _run(*words, accepted=(0,)):
    process = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert process.returncode in accepted, f"{words}: {process.stderr.strip()}"
    return process.stdout


def _run_or_skip(*words):
    try:
        _run(*words)
    except (OSError, AssertionError) as error:
        missing(f"mounting a small file system is not permitted here: {error}")

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["scp.node", "scp.cli"])
def test_listening_process_does_without_tensorflow(module):
    """It would take 600 MB and seconds of every start, and its crashes would be the listener's.

    The dictionaries of pydicom.sr take a fifth of a start; who builds reports needs them. The rest is loaded
    once it listens, or where it is configured.
    """
    heavy = "{'tensorflow', 'keras', 'highdicom', 'scipy', 'pydicom.sr', 'apscheduler', 'cryptography'}"
    code = f"import sys, {module}; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_the_console_does_without_tensorflow():
    """Files that are uploaded are read by processes of their own."""
    code = "import sys, scp.console.app; sys.exit(' '.join({'tensorflow', 'keras'} & set(sys.modules)) or 0)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr

"""Workers exit with the process that started them."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

SLEEP = """
import time
import joblib
from ffpp_tools.parent_process import parallel_options
calls = [joblib.delayed(time.sleep)(60)] * 2
joblib.Parallel(2, **parallel_options())(calls)
"""


@pytest.mark.parametrize("after_s", [0.0, pytest.param(2.5, marks=pytest.mark.slow)])
def test_workers_end_when_their_parent_is_killed(after_s):
    """Also in their first second, when they may not be ready for tasks yet."""
    process = subprocess.Popen([sys.executable, "-c", SLEEP])
    deadline = time.monotonic() + 60
    workers = []
    while not workers and time.monotonic() < deadline:
        time.sleep(0.005)
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [p for p in children if "popen_loky" in " ".join(p.cmdline())]
    time.sleep(after_s)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers, "the process started no workers"
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive

"""A process that has died must not keep its work from others, and one that lives must."""

import os
import subprocess
import sys

from quartet.processes import is_alive


def test_one_that_runs_lives():
    assert is_alive(os.getpid())
    assert is_alive(1)  # someone else's, unless all is run as root
    assert not is_alive(999_999_999)


def test_one_that_has_ended_does_not_also_before_its_parent_has_looked():
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # until it ends
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.wait()
    assert not is_alive(process.pid)

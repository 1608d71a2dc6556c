"""A process that has died must not keep its work from others, and one that lives must."""

import os
import signal
import subprocess
import sys

import pytest

from kedro_cloud.core.processes import (
    is_alive,
    note_first_signal,
    sigterm_as_interrupt,
    start_ticks,
)


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


def test_a_later_process_with_the_same_number_is_another():
    assert is_alive(os.getpid(), start_ticks(os.getpid()))
    assert not is_alive(os.getpid(), "1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_asked_to_end_cleans_up_as_after_ctrl_c(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_second_signal_interrupts_what_the_first_one_asked_to_end():
    handler = signal.getsignal(signal.SIGTERM)
    with note_first_signal() as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is handler

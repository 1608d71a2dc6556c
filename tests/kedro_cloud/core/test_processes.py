"""A process that has ended is detected; signals end a process in order."""

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


def test_a_running_process_is_alive():
    assert is_alive(os.getpid())
    assert is_alive(1)  # of another user, unless the tests run as root
    assert not is_alive(999_999_999)


def test_a_process_has_ended_even_before_its_parent_waits_for_it():
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # until it ends
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.wait()
    assert not is_alive(process.pid)


def test_a_later_process_with_the_same_id_is_another():
    assert is_alive(os.getpid(), start_ticks(os.getpid()))
    assert not is_alive(os.getpid(), "1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_keyboard_interrupt(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_the_first_signal_is_noted_and_the_second_one_interrupts():
    handler = signal.getsignal(signal.SIGTERM)
    with note_first_signal() as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is handler

"""An objective that kills workers; in a module of its own, which their processes can import."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from quartet.faq.study import Objective, suggest_parameters
from support import GUARD_S


@dataclass(frozen=True)
class Deadly(Objective):
    """Kills any process but one in its first trial; that one goes on when it is done."""

    survivor: int
    sign: Path

    def __call__(self, trial):
        if os.getpid() != self.survivor:
            suggest_parameters(trial, self.space)
            self.sign.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        patience = time.monotonic() + GUARD_S
        while not self.sign.exists() and time.monotonic() < patience:
            time.sleep(0.02)
        return super().__call__(trial)

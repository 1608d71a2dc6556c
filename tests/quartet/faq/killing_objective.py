"""Define an objective that kills workers, in a module that their processes can import."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from quartet.faq.study import Objective, suggest_parameters
from support import GUARD_S


@dataclass(frozen=True)
class KillingObjective(Objective):
    """Kills every process but one in its first trial; that one waits until then."""

    survivor: int
    killed_file: Path

    def __call__(self, trial):
        if os.getpid() != self.survivor:
            suggest_parameters(trial, self.space)
            self.killed_file.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        deadline = time.monotonic() + GUARD_S
        while not self.killed_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return super().__call__(trial)

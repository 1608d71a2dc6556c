"""Record every address that a Python process connects to.

Python imports this module in each process whose PYTHONPATH contains its folder.
"""

import os
import sys


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "unix"
        with open(os.environ["QUARTET_WITNESS"], "a", encoding="utf-8") as file:  # noqa: PTH123
            print(host, file=file)


sys.addaudithook(_note)

"""The windows that a database holds: as one table, in blocks, or only counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pandas as pd
from sqlalchemy.engine import Connection

from quartet.datasets import sensor_reading
from quartet.datasets.sensor_numbers import SensorNumbers
from quartet.datasets.sensor_schema import Position

_BLOCK = 200_000
"""Windows: some 50 MB, with what is made of them."""

Result = TypeVar("Result")


class History:
    """Windows of one database. What a run needs of many, it reads in blocks or has counted."""

    _numbers: SensorNumbers

    def _transact(self, work: Callable[[Connection], Result], *, writes: bool = True) -> Result:
        raise NotImplementedError

    def read_windows(
        self,
        *,
        since: pd.Timestamp | None = None,
        until: pd.Timestamp | None = None,
        pairs: Iterable[tuple[str, str]] | None = None,
    ) -> pd.DataFrame:
        """Windows that end in (since, until], by device, sensor and end.

        Columns: device, sensor, window_end (datetime64[s], UTC), readings, mean,
        standard_deviation, minimum, maximum, last_value, revision.

        Args:
            since: All from the first on, without it.
            until: All up to the last, without it.
            pairs: Only those of these (device, sensor); unknown ones have none.
        """
        wanted = None if pairs is None else set(pairs)
        return self._transact(
            lambda connection: sensor_reading.read_windows(
                connection, self._numbers, [sensor_reading.ended(since, until)], wanted
            ),
            writes=False,
        )

    def new_windows(self, after: Position | None, until: Position) -> pd.DataFrame:
        """Closed windows that have not been scored as they are now; columns and order as above.

        Those that end after `after.horizon` or were written since `after.revision`, so
        also old ones that late readings have changed.

        Args:
            after: How far scoring has come; None before it has come anywhere.
            until: How far ingestion has come; windows that end after its horizon are still open.
        """
        conditions = sensor_reading.unscored(after, until)
        return self._transact(
            lambda connection: sensor_reading.read_windows(connection, self._numbers, conditions),
            writes=False,
        )

    def window_blocks(
        self, since: pd.Timestamp, until: pd.Timestamp, most: int = _BLOCK
    ) -> Iterator[pd.DataFrame]:
        """The windows that end in (since, until], a stretch of time after the other.

        Columns and order within a block are those of `read_windows`. Each block is read when it
        is asked for.

        Args:
            since: The end of the last window that is not among them.
            until: The end of the last window that is.
            most: Windows in a block, about: those that end at the same moment stay together.
        """
        counts = self.window_counts(since=since, until=until)
        block = (counts["windows"].cumsum() - 1) // most
        for end in counts.groupby(block)["window_end"].max():
            yield self.read_windows(since=since, until=end)
            since = end

    def window_counts(
        self, *, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """How many windows end at each moment in (since, until], and the readings in them.

        Columns: window_end (datetime64[s], UTC), ascending; windows, readings.
        """
        return self._transact(
            lambda connection: sensor_reading.read_counts(
                connection, sensor_reading.ended(since, until)
            ),
            writes=False,
        )

    def totals(self) -> tuple[int, int]:
        """How many windows there are, and of how many sensors."""
        return self._transact(sensor_reading.read_totals, writes=False)

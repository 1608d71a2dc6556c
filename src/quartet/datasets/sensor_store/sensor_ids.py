"""The identifier that each (device, sensor) has in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.engine import Connection

from quartet.datasets.sensor_store.rows import insert_rows
from quartet.datasets.sensor_store.schema import key_of, sensors

Pair = tuple[str, str]


class SensorIds:
    """The table of sensors, remembered: its rows never change, and new ones have larger numbers."""

    def __init__(self) -> None:
        self._ids: dict[Pair, int] = {}
        self._last = 0

    def load(self, connection: Connection) -> dict[Pair, int]:
        """Return the numbers of all sensors that have been committed."""
        columns = (sensors.c.sensor_id, sensors.c.device, sensors.c.sensor)
        newer = select(*columns).where(sensors.c.sensor_id > self._last)
        for number, device, sensor in connection.execute(newer):
            self._ids[device, sensor] = number
            self._last = max(self._last, number)
        return self._ids

    def add(self, connection: Connection, pairs: Iterable[Pair]) -> dict[Pair, int]:
        """Return the numbers of all known sensors and of `pairs`; unknown ones are added.

        Only one transaction at a time may do this: the one that holds the ingestion job's row.
        """
        known = self.load(connection)
        new = [pair for pair in pairs if pair not in known]
        if not new:
            return known
        numbers = list(range(self._last + 1, self._last + 1 + len(new)))
        devices, names = zip(*new, strict=True)
        keys = [key_of(*pair) for pair in new]
        columns = {"sensor_id": numbers, "device": devices, "sensor": names, "sensor_key": keys}
        insert_rows(connection, sensors, columns)
        # Not remembered before it is read again: this transaction may yet fail.
        return known | dict(zip(new, numbers, strict=True))

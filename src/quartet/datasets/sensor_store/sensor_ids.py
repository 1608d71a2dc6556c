"""Identifiers of (device, sensor) pairs in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.engine import Connection

from quartet.datasets.sensor_store.rows import insert_rows
from quartet.datasets.sensor_store.schema import hash_names, sensors

Pair = tuple[str, str]


class SensorIds:
    """A cache of the table of sensors, whose rows never change; new ones have larger ids."""

    def __init__(self) -> None:
        self._ids: dict[Pair, int] = {}
        self._last = 0

    def load(self, connection: Connection) -> dict[Pair, int]:
        """Return the ids of all committed sensors."""
        columns = (sensors.c.sensor_id, sensors.c.device, sensors.c.sensor)
        newer = select(*columns).where(sensors.c.sensor_id > self._last)
        for sensor_id, device, sensor in connection.execute(newer):
            self._ids[device, sensor] = sensor_id
            self._last = max(self._last, sensor_id)
        return self._ids

    def add(self, connection: Connection, pairs: Iterable[Pair]) -> dict[Pair, int]:
        """Return the ids of all sensors, after adding new ones among `pairs`.

        Only the transaction that has locked the row of the ingestion job may do this.
        """
        known = self.load(connection)
        new = [pair for pair in pairs if pair not in known]
        if not new:
            return known
        ids = list(range(self._last + 1, self._last + 1 + len(new)))
        devices, names = zip(*new, strict=True)
        keys = [hash_names(*pair) for pair in new]
        columns = {"sensor_id": ids, "device": devices, "sensor": names, "sensor_key": keys}
        insert_rows(connection, sensors, columns)
        # Not cached until they are read back, because this transaction may still fail.
        return known | dict(zip(new, ids, strict=True))

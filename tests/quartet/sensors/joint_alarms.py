"""Join the alarms of a device's sensors to one alarm of the device."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def fewest_sensors(
    windows: pd.DataFrame, alarms: NDArray[np.bool_], share: float
) -> dict[str, int]:
    """Return the least number of simultaneous alarms of sensors for an alarm of their device.

    Args:
        windows: Columns `device`, `sensor` and `window_end`, w rows of normal times that the
            detectors have not seen.
        alarms: Shape (w,).
        share: Share of the moments at which a device may raise an alarm, at most.

    Returns:
        By device, the least number of sensors, at least 1, that keeps to the share.
    """
    counts = _alarms_at_a_time(windows, alarms)
    return {
        str(device): int(np.sort(group.to_numpy())[-1 - int(share * len(group))]) + 1
        for device, group in counts.groupby("device")["alarms"]
    }


def join_sensors(
    windows: pd.DataFrame, alarms: NDArray[np.bool_], fewest: Mapping[str, int]
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """One alarm for all sensors of a device.

    Args:
        windows: Columns `device`, `sensor` and `window_end`, w rows.
        alarms: Shape (w,).
        fewest: By device, how many sensors must raise an alarm; 1, where it is not named.

    Returns:
        Windows of devices, their `sensor` empty, ascending by device and time, and whether each
        has an alarm.
    """
    counts = _alarms_at_a_time(windows, alarms)
    least = counts["device"].map(lambda device: fewest.get(str(device), 1))
    joined = counts.assign(sensor="")[["device", "sensor", "window_end"]]
    return joined, (counts["alarms"] >= least).to_numpy()


def _alarms_at_a_time(windows: pd.DataFrame, alarms: NDArray[np.bool_]) -> pd.DataFrame:
    table = windows[["device", "window_end"]].assign(alarms=np.asarray(alarms, dtype=np.int64))
    return table.groupby(["device", "window_end"], sort=True)["alarms"].sum().reset_index()

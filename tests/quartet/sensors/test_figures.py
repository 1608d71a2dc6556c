"""What is known of a sensor must be seen beside its alarms."""

import numpy as np
import pandas as pd

from quartet.sensors.figures import plot_timelines
from sensors.simulated_windows import simulate_windows


def find_shaded_times(axis, colour="#e9c46a"):
    """Times that are drawn as known anomalies, as the days since the epoch."""
    from matplotlib.colors import to_rgb

    return [
        (patch.get_x(), patch.get_x() + patch.get_width())
        for patch in axis.patches
        if patch.get_facecolor()[:3] == to_rgb(colour)
    ]


def test_labels_of_a_sensor_and_of_its_device_are_drawn():
    scores = simulate_windows(sensors=5, windows=48).assign(anomaly=False)
    days = np.array([0.5, 1.0, 1.5, 0.25]) * 86400
    events = pd.DataFrame(
        {
            "device": ["d0", "d0", "d0", "d1"],
            "sensor": ["s0", "", "s1", ""],
            "start": days.astype("datetime64[s]"),
            "end": (days + 3600).astype("datetime64[s]"),
            "kind": "stuck",
        }
    )
    figure = plot_timelines(scores, [("d0", "s0"), ("d1", "s0")], events)
    np.testing.assert_allclose(
        find_shaded_times(figure.axes[0]), [(0.5, 0.5 + 1 / 24), (1.0, 1 + 1 / 24)]
    )
    np.testing.assert_allclose(find_shaded_times(figure.axes[1]), [(0.25, 0.25 + 1 / 24)])

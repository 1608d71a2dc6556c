"""All models of a fleet in one artefact of concatenated arrays, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from quartet.sensors.context import NO_CONTEXT, Context
from quartet.sensors.features import FEATURES, window_features
from quartet.sensors.models import (
    ONE_CLASS_SVM,
    P_VALUES,
    QUANTILES,
    VERSION_BYTES,
    Pair,
    SensorModel,
)
from quartet.sensors.seasonality import HOURS, LOCATION_FEATURES, find_middles, interpolate

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

FORMAT = 1
"""Version of the file layout."""
_MODEL_ARRAYS = (
    "lowest",
    "center",
    "scale",
    "intercept",
    "gamma",
    "threshold",
    "nu",
    "windows",
    "false_alarm_rate",
    "trained_until",
    "quantiles",
    "calibration",
    "relative",
    "device_threshold",
    "device_event_rate",
)
"""Arrays with one row per model."""
_VECTOR_ARRAYS = ("vectors", "coefficients")
"""Arrays with one row per support vector."""
_ARRAYS = ("start", "profile_start", *_MODEL_ARRAYS, *_VECTOR_ARRAYS, "profiles")
_LATER_ARRAYS = (
    "calibration",
    "relative",
    "device_threshold",
    "device_event_rate",
    "profile_start",
    "profiles",
)
"""Arrays that files of the first release lack: all models have the context, if there is one, no
device raises alarms, no sensor has a season, and all p-values are 1."""
NEGLIGIBLE_EXPONENT = -700.0
"""Exponent whose exponential, 1e-304, has no effect on a sum. A smaller one would be a subnormal
number, with which processors are slow."""
_HINT = "restore it from a copy, or train the models again"


@dataclass(frozen=True, eq=False)
class SensorModels:
    """The models of n sensors over d features, in ascending order of (device, sensor).

    A window's score is `intercept` plus the sum, over the model's support vectors v, of
    coefficient * exp(-gamma |x - v|²), where x are its scaled features: the decision function
    of scikit-learn's OneClassSVM, or the robust z-score of `quartet.sensors.robust`. A window is
    anomalous if its score is below `threshold`.

    Attributes:
        pairs: (device, sensor) of each model.
        versions: Version of each model: 12 hexadecimal digits, which change if any score may.
        features: Names of the d features.
        window_seconds: Length of the windows.
        lowest: Shape (n, d): lower bound to which features are clipped; -inf for none.
        center: Shape (n, d): subtracted from the clipped features.
        scale: Shape (n, d): divisor of the centred features.
        start: Shape (n + 1,), int64: the vectors of model i are rows start[i] to start[i + 1].
        vectors: Shape (v, d): the support vectors of all models, scaled.
        coefficients: Shape (v,), positive; their sum over a one-class SVM is nu times its
            windows, and over a robust z-score 1.
        intercept: Shape (n,).
        gamma: Shape (n,): kernel coefficient.
        threshold: Shape (n,).
        nu: Shape (n,): target false-alarm rate.
        windows: Shape (n,), int64: number of training windows.
        false_alarm_rate: Shape (n,): share of alarms among the latest training windows, scored by
            a model that was trained on the earlier ones only.
        trained_until: Shape (n,), int64: end of the last training window, in microseconds since
            the Unix epoch, UTC.
        quantiles: Shape (n, d, 11): quantiles of the unscaled training features at the levels
            `QUANTILES`.
        calibration: Shape (n, 12): the scores of normal windows at the p-values `P_VALUES`.
        relative: Shape (n,), int64: 1 if the model's windows are normalised by `context`, else 0.
        device_threshold: Shape (n,): threshold of the model's device, see
            `quartet.sensors.devices`; NaN for none.
        device_event_rate: Shape (n,): events per normal window expected of the device.
        profile_start: Shape (n + 1,), int64: the profile of model i is rows profile_start[i] to
            profile_start[i + 1].
        profiles: Seasonal profiles of all models, see `quartet.sensors.seasonality`: 24 or 168
            values of a model, or none.
        methods: Method of each model: `one_class_svm`, or `robust_z_score` of few windows, whose
            only vector is the median; if left empty, all are `one_class_svm`.
        context: Normalisation of the windows of relative models, in training and in scoring.
    """

    pairs: tuple[Pair, ...]
    versions: tuple[str, ...]
    features: tuple[str, ...]
    window_seconds: int
    lowest: Array
    center: Array
    scale: Array
    start: NDArray[np.int64]
    vectors: Array
    coefficients: Array
    intercept: Array
    gamma: Array
    threshold: Array
    nu: Array
    windows: NDArray[np.int64]
    false_alarm_rate: Array
    trained_until: NDArray[np.int64]
    quantiles: Array
    calibration: Array
    relative: NDArray[np.int64]
    device_threshold: Array
    device_event_rate: Array
    profile_start: NDArray[np.int64]
    profiles: Array
    context: Context = NO_CONTEXT
    methods: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.methods) != len(self.pairs):
            object.__setattr__(self, "methods", (ONE_CLASS_SVM,) * len(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    @classmethod
    def from_models(
        cls,
        models: Mapping[Pair, SensorModel],
        features: Sequence[str],
        window_seconds: int,
        context: Context = NO_CONTEXT,
    ) -> Self:
        """Build a model set from models by (device, sensor), in any order; may be empty."""
        pairs = tuple(sorted(models))
        ordered = [models[pair] for pair in pairs]
        shapes = {
            **dict.fromkeys(("lowest", "center", "scale", "vectors"), (len(features),)),
            "quantiles": (len(features), len(QUANTILES)),
            "calibration": (len(P_VALUES),),
        }
        integers = ("windows", "trained_until", "relative")
        arrays: dict[str, NDArray[Any]] = {
            name: np.array(
                [getattr(model, name) for model in ordered],
                dtype=np.int64 if name in integers else np.float64,
            ).reshape(-1, *shapes.get(name, ()))
            for name in _MODEL_ARRAYS
        }
        for name in _VECTOR_ARRAYS:
            parts = [getattr(model, name) for model in ordered]
            arrays[name] = np.concatenate([np.empty((0, *shapes.get(name, ()))), *parts])
        arrays["start"] = _find_starts([len(model.coefficients) for model in ordered])
        arrays["profile_start"] = _find_starts([len(model.profile) for model in ordered])
        arrays["profiles"] = np.concatenate([np.empty(0), *(model.profile for model in ordered)])
        hours = tuple(map(str, context))
        versions = tuple(
            model.version(pair, (*features, *(hours if model.relative else ())), window_seconds)
            for pair, model in zip(pairs, ordered, strict=True)
        )
        return cls(
            pairs,
            versions,
            tuple(features),
            window_seconds,
            context=context,
            methods=tuple(model.method for model in ordered),
            **arrays,
        )

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of support vectors of each model; shape (n,)."""
        return np.diff(self.start)

    @property
    def seasons(self) -> NDArray[np.object_]:
        """Season of each model: `none`, `day` or `week`; shape (n,)."""
        names = {hours: name for name, hours in HOURS.items()}
        return np.array([names[size] for size in np.diff(self.profile_start).tolist()], object)

    @cached_property
    def version(self) -> str:
        """Version of the set: 12 hexadecimal digits, which change if any score or alarm may."""
        known = self.device_threshold[~np.isnan(self.device_threshold)].tolist()
        content = json.dumps(
            [self.features, self.window_seconds, self.pairs, self.versions, *self.context, *known]
        )
        return blake2b(content.encode(), digest_size=VERSION_BYTES).hexdigest()

    @cached_property
    def kernel(self) -> Array:
        """Factors of the exponents, see `quartet.sensors.scoring`; shape (v + 1, d + 2).

        One row per support vector, and a last one that adds nothing to a score.
        """
        gamma = np.repeat(self.gamma, self.sizes)
        rows = np.zeros((len(gamma) + 1, len(self.features) + 2))
        rows[:-1, :-2] = self.vectors * (2 * gamma)[:, None]
        rows[:-1, -2] = -gamma
        squares = np.einsum("vd,vd->v", self.vectors, self.vectors)
        rows[:-1, -1] = np.log(self.coefficients) - gamma * squares
        rows[-1, -1] = NEGLIGIBLE_EXPONENT
        return rows

    @cached_property
    def _index(self) -> dict[Pair, int]:
        return {pair: index for index, pair in enumerate(self.pairs)}

    def find(self, device: str, sensor: str) -> int:
        """Return the index of a sensor's model.

        Raises:
            KeyError: The sensor has no model.
        """
        return self._index[device, sensor]

    def locate(self, windows: pd.DataFrame) -> NDArray[np.int64]:
        """Return the index of each window's model, -1 for none; shape (w,), int64.

        Args:
            windows: w rows with `device` and `sensor`, as text or categories. Runs of equal names
                are looked up once.
        """
        first = np.flatnonzero(_find_changes(windows["device"]) | _find_changes(windows["sensor"]))
        names = (windows[name].iloc[first].astype(str) for name in ("device", "sensor"))
        found = (self._index.get(pair, -1) for pair in zip(*names, strict=True))
        indices = np.fromiter(found, np.int64, len(first))
        return np.repeat(indices, np.diff(np.append(first, len(windows))))

    def compute_features(self, windows: pd.DataFrame, model: NDArray[np.int64]) -> Array:
        """Compute the features of windows; shape (w, d).

        The seasonal profile of a window's model is subtracted from its `LOCATION_FEATURES`.

        Args:
            windows: w rows with the columns of `quartet.sensors.windows`.
            model: Index of each window's model, from 0: each window has one; shape (w,).

        Raises:
            ValueError: A column is missing or has NaN.
        """
        features = window_features(windows, self.features)
        if not len(self.profiles):
            return features
        seasonal = np.flatnonzero(np.diff(self.profile_start)[model])
        ends = windows["window_end"].to_numpy()[seasonal].astype("datetime64[us]")
        middles = find_middles(ends.astype(np.int64), self.window_seconds)
        first, last = self.profile_start[model[seasonal] + [[0], [1]]]
        offsets = np.zeros(len(windows))
        offsets[seasonal] = interpolate(self.profiles, first, last, middles)
        for column in np.flatnonzero(np.isin(self.features, LOCATION_FEATURES)):
            features[:, column] -= offsets
        return features

    def is_relative(self, windows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which windows are to be normalised by the context before scoring; shape (w,)."""
        model = self.locate(windows)
        relative = np.append(self.relative, 0)[model] > 0  # -1 is no model
        return np.asarray(relative, dtype=bool)

    def normalise(self, windows: pd.DataFrame) -> pd.DataFrame:
        """Return windows as the models need them: those of relative models by their context.

        Args:
            windows: The columns of `quartet.sensors.windows`, for relative models with those of
                the time before, as `Context.reach` says.

        Returns:
            If any model is relative, first the windows of the others, then those of relative
            models, sorted and without those that have too little time before them.
        """
        relative = self.is_relative(windows)
        if not relative.any():
            return windows
        normalised = self.context.apply(windows[relative])
        return pd.concat([windows[~relative], normalised], ignore_index=True)

    def take(self, models: NDArray[np.int64]) -> Self:
        """Return a model set with some of the models.

        Args:
            models: Ascending indices of the models, without duplicates.
        """
        start, rows = _take_rows(self.start, models)
        profile_start, profile_rows = _take_rows(self.profile_start, models)
        return type(self)(
            tuple(self.pairs[index] for index in models.tolist()),
            tuple(self.versions[index] for index in models.tolist()),
            self.features,
            self.window_seconds,
            start=start,
            profile_start=profile_start,
            profiles=self.profiles[profile_rows],
            context=self.context,
            methods=tuple(self.methods[index] for index in models.tolist()),
            **{name: getattr(self, name)[models] for name in _MODEL_ARRAYS},
            **{name: getattr(self, name)[rows] for name in _VECTOR_ARRAYS},
        )

    @classmethod
    def merge(cls, model_sets: Sequence[SensorModels]) -> Self:
        """Merge model sets, for example of the shards of a fleet.

        If several have a model of the same sensor, the last one is kept. The result does not
        depend on how the sensors were divided into shards.

        Raises:
            ValueError: Their features, windows or contexts differ. Sets without a relative model
                have no context.
        """
        contexts = [model_set.context for model_set in model_sets if model_set.context.hours]
        kinds = {
            (model_set.features, model_set.window_seconds, context)
            for model_set in model_sets
            for context in (contexts or [NO_CONTEXT])
        }
        if len(kinds) > 1:
            described = [
                f"{seconds} s windows, features {', '.join(names)}{context.describe()}"
                for names, seconds, context in sorted(kinds)
            ]
            raise ValueError(
                "cannot merge models of different windows or features: "
                f"{'; '.join(described)}. Train all sensors again, or use the same settings"
            )
        ((features, window_seconds, context),) = kinds
        offsets = np.cumsum([0, *(len(model_set) for model_set in model_sets)])
        index: dict[Pair, int] = {}
        for model_set, offset in zip(model_sets, offsets, strict=False):
            index.update(zip(model_set.pairs, range(offset, offset + len(model_set)), strict=True))
        arrays = {
            name: np.concatenate([getattr(model_set, name) for model_set in model_sets])
            for name in (*_MODEL_ARRAYS, *_VECTOR_ARRAYS, "profiles")
        }
        for name in ("start", "profile_start"):
            sizes = [np.diff(getattr(model_set, name)) for model_set in model_sets]
            arrays[name] = _find_starts(np.concatenate(sizes))
        pairs = tuple(pair for model_set in model_sets for pair in model_set.pairs)
        versions = tuple(version for model_set in model_sets for version in model_set.versions)
        methods = tuple(method for model_set in model_sets for method in model_set.methods)
        concatenated = cls(
            pairs,
            versions,
            features,
            window_seconds,
            context=context,
            methods=methods,
            **arrays,
        )
        return concatenated.take(np.array([index[pair] for pair in sorted(index)], dtype=np.int64))

    def summary(self) -> pd.DataFrame:
        """Return a table with one row per model.

        Returns:
            `device`, `sensor`, `method`, `season` (`none`, `day` or `week`), `windows`,
            `trained_until` (datetime64[s], UTC), `nu`, `gamma`, `threshold`, `support_vectors`,
            `false_alarm_rate`, `model_version`.
        """
        devices, sensors = zip(*self.pairs, strict=True) if self.pairs else ((), ())
        return pd.DataFrame(
            {
                "device": np.array(devices, dtype=object),
                "sensor": np.array(sensors, dtype=object),
                "method": np.array(self.methods, dtype=object),
                "season": self.seasons,
                "windows": self.windows,
                "trained_until": (self.trained_until // 10**6).astype("datetime64[s]"),
                "nu": self.nu,
                "gamma": self.gamma,
                "threshold": self.threshold,
                "support_vectors": self.sizes,
                "false_alarm_rate": self.false_alarm_rate,
                "model_version": np.array(self.versions, dtype=object),
            }
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the model set as named arrays, including their checksum."""
        facts = {
            "format": FORMAT,
            "features": self.features,
            "window_seconds": self.window_seconds,
            "pairs": self.pairs,
            "versions": self.versions,
            "context": self.context,
            "methods": self.methods,
        }
        arrays: dict[str, NDArray[Any]] = {
            "facts": np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
            **{name: getattr(self, name) for name in _ARRAYS},
        }
        return {**arrays, "checksum": _checksum(arrays)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Build the model set from the arrays that `to_arrays` returned.

        Raises:
            ValueError: Arrays are missing, damaged, or in an unknown format.
        """
        names = {"facts", "checksum", *_ARRAYS}
        if missing := sorted(names - set(arrays) - set(_LATER_ARRAYS)):
            raise ValueError(f"not a model set: missing arrays {', '.join(missing)}; {_HINT}")
        content = {name: arrays[name] for name in names - {"checksum"} if name in arrays}
        if not np.array_equal(_checksum(content), arrays["checksum"]):
            raise ValueError(f"the model set is damaged: its checksum does not match; {_HINT}")
        facts = json.loads(content.pop("facts").tobytes())
        if facts["format"] != FORMAT or not set(facts["features"]) <= set(FEATURES):
            raise ValueError(
                f"the model set has format {facts['format']} with features "
                f"{', '.join(facts['features'])}; this version of the project reads format "
                f"{FORMAT} with features {', '.join(FEATURES)}"
            )
        context = Context(*facts["context"])
        relative = np.full(len(facts["pairs"]), int(context.hours > 0), np.int64)
        content.setdefault("relative", relative)
        for name in ("device_threshold", "device_event_rate"):
            content.setdefault(name, np.full(len(relative), np.nan))
        content.setdefault("profile_start", np.zeros(len(relative) + 1, np.int64))
        content.setdefault("profiles", np.empty(0))
        repeated = np.repeat(content["threshold"][:, None], len(P_VALUES), 1)
        content.setdefault("calibration", repeated)
        return cls(
            tuple((device, sensor) for device, sensor in facts["pairs"]),
            tuple(facts["versions"]),
            tuple(facts["features"]),
            facts["window_seconds"],
            context=context,
            methods=tuple(facts.get("methods", ())),
            **content,
        )

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file; equal model sets give equal bytes."""
        arrays = self.to_arrays()
        return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Build the model set from the file content that `to_bytes` returned.

        Raises:
            ValueError: The content is incomplete, damaged, or not a model set.
        """
        try:
            arrays = load(content)
        except SafetensorError as error:
            raise ValueError(f"not a complete model set ({error}); {_HINT}") from error
        return cls.from_arrays(arrays)


def _find_changes(names: pd.Series) -> NDArray[np.bool_]:
    """Return where a name differs from the one before; the first one always does."""
    values = names.cat.codes if isinstance(names.dtype, pd.CategoricalDtype) else names
    texts = values.to_numpy()
    changes = np.ones(len(texts), dtype=bool)
    changes[1:] = texts[1:] != texts[:-1]
    return changes


def _find_starts(sizes: ArrayLike) -> NDArray[np.int64]:
    """Return the first row of each part of concatenated arrays, and their number of rows."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _take_rows(
    start: NDArray[np.int64], models: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts of the parts of some models, and the rows of these parts."""
    sizes = np.diff(start)[models]
    taken = _find_starts(sizes)
    return taken, np.repeat(start[models] - taken[:-1], sizes) + np.arange(taken[-1])


def _checksum(arrays: Arrays) -> NDArray[np.uint8]:
    digest = blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return np.frombuffer(digest.digest(), dtype=np.uint8)

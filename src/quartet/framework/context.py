"""Provide Kedro's context, with pydantic's own messages for invalid parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines

from quartet.compat import validated_pipelines


class Context(KedroContext):
    """Validate parameters as Kedro does, and report every invalid field in one line."""

    @property
    def params(self) -> dict[str, Any]:
        """Return the parameters of the requested pipelines, as the models that nodes declare.

        Raises:
            ValueError: A parameter is invalid; the message names each field and its value.
        """
        from kedro.validation import ParameterValidationError

        try:
            return super().params
        except ParameterValidationError as error:
            faults = "; ".join(self._invalid_parameters(str(error)))
            raise ValueError(faults or str(error)) from error

    def _invalid_parameters(self, report: str) -> Iterator[str]:
        """Validate the parameters in Kedro's report again, to get pydantic's own errors."""
        from kedro.validation import ModelInstantiationError, TypeExtractor
        from kedro.validation.model_factory import instantiate_model
        from kedro.validation.utils import resolve_nested_dict_path
        from pydantic import ValidationError

        from kedro_cloud.core.validation_errors import format_errors

        names = validated_pipelines(self) or list(pipelines)
        types = TypeExtractor({name: pipelines[name] for name in names})
        for key, model in types.extract_types_from_pipelines().items():
            if f"- Parameter '{key}': " not in report:
                continue
            given = resolve_nested_dict_path(self.config_loader["parameters"], key)
            try:
                instantiate_model(key, given, model)
            except ModelInstantiationError as error:
                cause = error.__cause__ or error
                text = format_errors(cause) if isinstance(cause, ValidationError) else str(cause)
                yield f"parameter '{key}': {text}"

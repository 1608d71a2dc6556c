"""Kedro's context, with invalid parameters reported from pydantic's own errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines

from quartet.compat import validated_pipelines


class Context(KedroContext):
    """Validates parameters as Kedro does; of an error it keeps more than the text."""

    @property
    def params(self) -> dict[str, Any]:
        """Return the parameters of the pipelines that run, as the models their nodes ask for.

        Raises:
            ValueError: Names each invalid parameter, its field, what is expected and what is given.
        """
        from kedro.validation import ParameterValidationError

        try:
            return super().params
        except ParameterValidationError as error:
            faults = "; ".join(self._invalid_parameters(str(error)))
            raise ValueError(faults or str(error)) from error

    def _invalid_parameters(self, report: str) -> Iterator[str]:
        """Validate again what Kedro reports, to have pydantic's errors themselves."""
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

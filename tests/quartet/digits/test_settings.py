"""Invalid parameters raise errors, and the configuration lists all parameters."""

import pytest
import yaml
from pydantic import ValidationError

from quartet.digits import settings
from support import ROOT

MODELS = {
    "exploration": settings.Exploration,
    "validation_split": settings.ValidationSplit,
    "regularisation_sweep": settings.RegularisationSweep,
    "learning_rate_search": settings.LearningRateSearch,
    "convnet_training": settings.ConvNetTraining,
}
FILE = ROOT / "conf/base/mnist_training/parameters.yml"


@pytest.mark.parametrize("name", MODELS)
def test_configuration_lists_every_parameter_with_its_default(name):
    configured = yaml.safe_load(FILE.read_text())[name]
    model = MODELS[name]
    assert configured.keys() == model.model_fields.keys()
    configured = configured | ({"seed": 1} if "seed" in configured else {})
    seed = {"seed": 1} if "seed" in configured else {}
    assert model(**configured) == model(**seed)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_has_a_description(name):
    for field in MODELS[name].model_fields.values():
        assert field.description


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (settings.ValidationSplit, {"seed": 1, "fraction": 0}),
        (settings.ValidationSplit, {"seed": -1}),
        (settings.RegularisationSweep, {"strengths": []}),
        (settings.RegularisationSweep, {"strengths": [1, 0]}),
        (settings.RegularisationSweep, {"strengths": [1, 1]}),
        (settings.ConvNetTraining, {"seed": 1, "momentum": 1}),
        (settings.ConvNetTraining, {"seed": 1, "epoch": 3}),
        (settings.LearningRateSearch, {"learning_rates": [-0.1]}),
    ],
)
def test_invalid_values_raise(model, values):
    with pytest.raises(ValidationError):
        model(**values)


def test_parameters_are_immutable():
    split = settings.ValidationSplit(seed=1)
    with pytest.raises(ValidationError):
        split.fraction = 0.5

"""A parameter out of range or misspelt must be refused, and the files must name them all."""

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
def test_the_configuration_spells_out_every_parameter_at_its_default(name):
    configured = yaml.safe_load(FILE.read_text())[name]
    model = MODELS[name]
    assert configured.keys() == model.model_fields.keys()
    configured = configured | ({"seed": 1} if "seed" in configured else {})
    seed = {"seed": 1} if "seed" in configured else {}
    assert model(**configured) == model(**seed)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_tells_its_reason(name):
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
def test_what_makes_no_sense_is_refused(model, values):
    with pytest.raises(ValidationError):
        model(**values)


def test_parameters_cannot_be_changed_by_a_node():
    split = settings.ValidationSplit(seed=1)
    with pytest.raises(ValidationError):
        split.fraction = 0.5

"""All cases of invalid input."""

from wrong_values.commands import COMMANDS
from wrong_values.files import FILES
from wrong_values.parameters import PARAMETERS
from wrong_values.settings import SETTINGS
from wrong_values.stores import STORES

CASES = [*FILES, *PARAMETERS, *SETTINGS, *STORES, *COMMANDS]

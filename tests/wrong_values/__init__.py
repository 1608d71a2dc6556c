"""The table of wrong values: each with its command, and with what the message must say."""

from wrong_values.commands import COMMANDS
from wrong_values.files import FILES
from wrong_values.parameters import PARAMETERS
from wrong_values.settings import SETTINGS
from wrong_values.stores import STORES

CASES = [*FILES, *PARAMETERS, *SETTINGS, *STORES, *COMMANDS]

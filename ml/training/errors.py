"""What goes wrong before or during training. Imports nothing, so that the command line can name it without torch.

TrainingError
└── ConfigurationError   a recipe or --set names or gives what no training can use
"""


class TrainingError(Exception):
    """A training cannot start or go on; the message says what to do about it."""


class ConfigurationError(TrainingError):
    """A recipe or a setting is wrong; the message names it and the nearest valid one."""

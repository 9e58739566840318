"""What can be wrong with a model package.

PackageError
├── PackageNotFoundError   no package of that name in the directories searched
├── CardError              card.json is missing, not JSON, or a field has a wrong value
└── PackageFileError       a file of the package is missing, or its bytes are not those that the card names
"""


class PackageError(Exception):
    """A model package cannot be used as it is."""


class PackageNotFoundError(PackageError):
    """No directory holds a package of the name asked for."""


class CardError(PackageError):
    """`card.json` is missing or does not say what a card must say."""


class PackageFileError(PackageError):
    """A file named on the card is missing or is not the file that the card describes."""

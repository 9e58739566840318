"""The package that portal and worker use where none is chosen."""

from webapp.domain.settings import PROJECT_ROOT, Settings

NAME = Settings.from_environment({}).default_model
FOLDER = PROJECT_ROOT / "ml" / "weights" / NAME

"""The version of this checkout, as the pages show it; docs/CHANGELOG.md says what it holds."""

VERSION = "0.1.0"

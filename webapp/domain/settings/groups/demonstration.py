"""Settings of a public demonstration: what a visitor may do."""

from dataclasses import dataclass

from webapp.domain.settings.parsing import setting, whole


@dataclass(frozen=True)
class Demonstration:
    """A public demonstration."""

    demo_minutes: int = setting(
        "GLIOSCOPE_DEMO_MINUTES", "60", whole(), "minutes after its upload at which a visitor's scan goes"
    )
    demo_scans: int = setting(
        "GLIOSCOPE_DEMO_SCANS", "10", whole(), "scans that a visitor may have at a time, each with up to 5 runs"
    )
    demo_total_scans: int = setting(
        "GLIOSCOPE_DEMO_TOTAL_SCANS", "300", whole(), "scans that all visitors together may have at a time"
    )
    # A visitor who looks through a stack of 32 slices in five layers asks for 160 pictures.
    demo_requests: int = setting(
        "GLIOSCOPE_DEMO_REQUESTS", "1200", whole(), "requests of one address in a minute, pictures included"
    )
    # So that one address alone cannot fill the installation within the hour.
    demo_changes: int = setting(
        "GLIOSCOPE_DEMO_CHANGES",
        "40",
        whole(),
        "uploads, runs, deletions and other changes of one address in 10 minutes",
    )

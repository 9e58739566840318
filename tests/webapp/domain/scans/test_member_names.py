"""Names of files and folders in zips: each once, on every system that unpacks them."""

from webapp.domain.scans.member_names import MemberNames


def test_names_that_one_system_takes_for_another_are_told_apart() -> None:
    """macOS takes both forms of an accent for one name, and unpacked one scan's files over another's."""
    names = MemberNames()
    taken = [names.take(name) for name in ("Caf\u00e9", "cafe\u0301", "CAFE\u0301", "Cafe")]
    assert taken == ["Caf\u00e9", "cafe\u0301 (2)", "CAFE\u0301 (3)", "Cafe"]

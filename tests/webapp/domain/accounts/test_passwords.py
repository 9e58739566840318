"""Passwords that are tried first are refused in a sentence; long ones cost no more than short ones."""

import subprocess
import sys
import threading
import unicodedata

import pytest

from webapp.domain.accounts import passwords
from webapp.domain.errors import InvalidInput

WORDS = "Nine lanterns drift past quiet harbors"


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("password1234", "vera"),
        ("qwertyuiop12", "vera"),
        ("aaaaaaaaaaaaaaaa", "vera"),
        ("glioscope2026", "vera"),
        ("Glioscope2026!", "vera"),
        ("P@ssw0rd1234", "vera"),
        ("verasmith2026", "vera.smith@example.org"),
        ("vera.smith@example.org-12", "vera.smith@example.org"),
        ("braintumor2026", "vera"),
        ("exampleexample", "vera@example.org"),
        ("vera" * 4, "vera"),
    ],
)
def test_a_password_that_is_tried_early_is_refused_in_a_sentence(password: str, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        passwords.check(password, name)
    sentence = refused.value.message
    assert sentence.endswith(".") and ("easy to guess" in sentence or "user's name" in sentence), sentence
    assert password not in sentence


@pytest.mark.parametrize(
    "password", [WORDS, "k7#Vm2q!Zt9x", "ein Kürbis über dem Fluß", "雨の日には紙の船を三つ流した"]
)
def test_a_passphrase_and_random_letters_are_taken(password: str) -> None:
    passwords.check(password, "vera")


def test_every_common_password_that_is_long_enough_is_refused() -> None:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    common = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= passwords.SHORTEST]
    taken = []
    for word in common:
        try:
            passwords.check(word, "vera")
        except InvalidInput:
            continue
        taken.append(word)
    assert len(common) > 50 and taken == []


@pytest.mark.parametrize(("length", "looked_at"), [(10_000, []), (200, [72])])
def test_a_long_password_is_looked_at_no_further_than_a_short_one(
    monkeypatch: pytest.MonkeyPatch, length: int, looked_at: list[int]
) -> None:
    import zxcvbn

    estimate, lengths = zxcvbn.zxcvbn, []

    def counted(password: str, user_inputs: list[str]) -> object:
        lengths.append(len(password))
        return estimate(password, user_inputs=user_inputs)

    monkeypatch.setattr(zxcvbn, "zxcvbn", counted)
    password = (WORDS * 300)[:length]
    if length > passwords.LONGEST:
        with pytest.raises(InvalidInput, match="12 to 256"):
            passwords.check(password, "vera")
    else:
        passwords.check(password, "vera")
    assert lengths == looked_at


def test_who_asks_at_the_same_time_is_not_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    import zxcvbn

    at_once, seen, estimate = [], [], zxcvbn.zxcvbn

    def counted(password: str, user_inputs: list[str]) -> object:
        at_once.append(password)
        seen.append(len(at_once))
        try:
            return estimate(password, user_inputs=user_inputs)
        finally:
            at_once.remove(password)

    monkeypatch.setattr(zxcvbn, "zxcvbn", counted)
    both = [threading.Thread(target=passwords.check, args=(f"{WORDS} {number}" * 2, "vera")) for number in range(8)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert seen == [1] * 8


def test_what_is_kept_of_a_password_is_argon2id_as_its_standard_recommends() -> None:
    # In a process of its own: the suite's own hashes are cheap ones (tests/webapp/conftest.py).
    program = "from webapp.domain.accounts import passwords; print(passwords.hash_of('Nine lanterns drift'))"
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert made.stdout.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_password_is_the_same_in_every_form_of_unicode() -> None:
    """Systems and keyboards differ in how they send an accent; nobody sees which it was."""
    typed = "ein Kürbis über dem Fluß"
    forms = {unicodedata.normalize(form, typed) for form in ("NFC", "NFD")}
    assert len(forms) == 2
    for kept in map(passwords.hash_of, forms):
        assert [passwords.is_right(form, kept) for form in forms] == [True, True]
        assert not passwords.is_right("ein Kurbis uber dem Fluß", kept)
    # What was hashed as it came, before, still lets in.
    for form in forms:
        assert passwords.is_right(form, passwords._hasher().hash(form))

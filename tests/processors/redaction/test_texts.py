"""Secrets in texts: found wherever they stand, replaced whole, and nothing else touched."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.redaction import RedactionError, Redactor, marker
from kaizen_processors.redaction.cards import luhn_valid
from kaizen_processors.redaction.redactor import MARGIN_CHARS, WINDOW_CHARS
from kaizen_processors.redaction.rules import fold
from tests.processors.redaction.support import REDACTOR, SECRETS

CORE = {
    **{kind: secret for kind, secret in SECRETS.items() if kind not in {"bearer", "private_key", "database_url"}},
    "email": "brien+test@mail.example.co.uk",
    "bearer": "abc123def456",
    "private_key": "MIIEowIBAAKCAQEA",
    "database_url": "pa55@word",
}
"""The part of each that must be gone."""
ALPHABET = st.sampled_from(
    [*"abz019 .@:=-_/\\\"'\n{}[]", "sk-", "eyJ", "4111", "password", "Bearer ", "://", "é", "\ud800"]
)
PROSE = st.lists(st.sampled_from(["the", "user", "asked", "for", "42", "-", "(maybe)", "ok.", "\n"])).map(" ".join)


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_is_replaced_and_its_surroundings_stay(kind: str) -> None:
    redacted = REDACTOR.text(f"before {SECRETS[kind]} after")

    assert CORE[kind] not in redacted
    assert "[redacted:" in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


@pytest.mark.parametrize("kind", SECRETS)
@given(before=PROSE, after=PROSE)
def test_secret_is_found_anywhere_in_a_text(kind: str, before: str, after: str) -> None:
    assert CORE[kind] not in REDACTOR.text(f"{before} {SECRETS[kind]} {after}")


@pytest.mark.parametrize("kind", SECRETS)
@given(offset=st.integers(min_value=0, max_value=40), cut_inside=st.integers(min_value=0, max_value=80))
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(kind: str, offset: int, cut_inside: int) -> None:
    secret = SECRETS[kind]
    text = "x " * offset + secret + " y" * MARGIN_CHARS
    max_chars = min(2 * offset + cut_inside, 2 * offset + len(secret))

    kept = REDACTOR.text(text, max_chars).partition("…[truncated")[0]

    assert len(kept) <= max_chars
    readable = re.sub(r"\[redact.*", "", kept)
    assert CORE[kind][:12] not in readable


def test_half_a_secret_at_the_end_of_what_was_read_is_left_out() -> None:
    max_chars = 2000
    long_address = "a" * 80 + "@example.com "
    # Redaction shortens what stands before it: without care the half key would move into the part that is kept.
    crowd = long_address * 40
    read_chars = max_chars + MARGIN_CHARS
    text = crowd[: read_chars - 8] + "sk-proj-abcdefghijklmnop0123456789"

    assert "sk-" not in REDACTOR.text(text + " y" * MARGIN_CHARS, max_chars)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2 ok", "password=[redacted:secret] ok"),
        ('{"db_password": "two words", "n": 1}', '{"db_password": "[redacted:secret]", "n": 1}'),
        ('{"password": "quote \\" inside", "n": 1}', '{"password": "[redacted:secret]", "n": 1}'),
        ('{"arguments": "{\\"api_key\\": \\"zzz z\\"}"}', '{"arguments": "{\\"api_key\\": \\"[redacted:secret]\\"}"}'),
        ("OPENAI_API_KEY: abcdef", "OPENAI_API_KEY: [redacted:secret]"),
        ("X-Api-Key: abcdef", "X-Api-Key: [redacted:secret]"),
        ("accessToken='a b c'", "accessToken='[redacted:secret]'"),
        ("Authorization: Basic dXNlcjpwYXNz\nHost: x", "Authorization: [redacted:secret]\nHost: x"),
        ("Set-Cookie: sid=1; Path=/\nHost: x", "Set-Cookie: [redacted:secret]\nHost: x"),
    ],
)
def test_secret_assigned_inside_a_text_is_replaced(text: str, expected: str) -> None:
    assert REDACTOR.text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: 5, token_count=4, tokens: 7",
        "task-assessment-for-all-of-the-things",
        "bearer certificates are old",
        "at 1732000000007 the order 4111111111111112 shipped",
        "see https://example.com:8080/path?x=1",
        "a secret is kept; the password is long",
        "version 1.2.3, 2024-11-22 06:22:36, +49 30 1234567",
        "decorate with @dataclass and mail me @ home",
    ],
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert REDACTOR.text(text) == text


def test_folding_keeps_every_character_in_its_place() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))

    assert len(fold(everything)) == len(everything)
    assert Redactor().text("\u0130 PASSWORD=x") == "\u0130 PASSWORD=[redacted:secret]"


@given(st.lists(ALPHABET).map("".join))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = REDACTOR.text(text)

    assert REDACTOR.text(once) == once


@given(st.integers(min_value=10**14, max_value=10**15 - 1), st.sampled_from("23456"), st.sampled_from(["", " ", "-"]))
def test_only_numbers_with_a_valid_check_digit_are_cards(body: int, issuer: str, separator: str) -> None:
    digits = next(
        f"{issuer}{str(body)[1:]}{check}" for check in range(10) if luhn_valid(f"{issuer}{str(body)[1:]}{check}")
    )
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    groups = [(number[:4], number[4:8], number[8:12], number[12:]) for number in (digits, wrong)]

    assert REDACTOR.text(f"no. {separator.join(groups[0])}!") == f"no. {marker('card')}!"
    assert REDACTOR.text(f"no. {separator.join(groups[1])}!") == f"no. {separator.join(groups[1])}!"


def test_card_after_other_digits_is_found() -> None:
    assert REDACTOR.text("12 4111 1111 1111 1111 99") == "12 [redacted:card] 99"


def test_own_pattern_and_key_are_redacted_and_named() -> None:
    redactor = Redactor(keys=["Employee-Id"], patterns={"ticket": r"TCK-[0-9]+", "order": re.compile("ORD-[0-9]+")})

    assert redactor.text("TCK-12 of ORD-7") == "[redacted:ticket] of [redacted:order]"
    assert redactor.value({"employeeId": "e1", "main_employee_id": 7}) == {
        "employeeId": "[redacted:secret]",
        "main_employee_id": "[redacted:secret]",
    }
    assert redactor.text("employee_id=e1") == "employee_id=[redacted:secret]"


def test_without_the_built_in_rules_only_own_ones_apply() -> None:
    redactor = Redactor(patterns={"ticket": r"TCK-[0-9]+"}, builtin=False)

    assert redactor.text("TCK-1 ann@example.com") == "[redacted:ticket] ann@example.com"
    assert redactor.value({"password": "x"}) == {"password": "x"}


@given(st.integers(min_value=0, max_value=2 * WINDOW_CHARS), st.integers(min_value=1, max_value=MARGIN_CHARS - 1))
def test_own_pattern_is_found_whole_across_windows(offset: int, length: int) -> None:
    redactor = Redactor(patterns={"run": "[A-Z]+"}, builtin=False)

    assert redactor.text("." * offset + "Q" * length + "." * WINDOW_CHARS) == (
        "." * offset + marker("run") + "." * WINDOW_CHARS
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patterns": {"x": "("}}, r"redaction pattern 'x' is no regular expression: .*position 0"),
        ({"patterns": {"x": "a*"}}, r"redaction pattern 'x' matches the empty text"),
        ({"patterns": {"Bad Name": "a"}}, r"redaction pattern name 'Bad Name' must match"),
        ({"patterns": {"x": re.compile(b"a")}}, r"redaction pattern 'x' must be a text pattern"),
        ({"patterns": {"x": 7}}, r"redaction pattern 'x' is no regular expression"),
        ({"keys": "password"}, r"redaction keys must be a list of names"),
        ({"keys": ["--"]}, r"redaction key '--' must be a text with at least one letter"),
    ],
)
def test_unusable_setting_is_refused_at_once_and_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RedactionError, match=message):
        Redactor(**options)


HOSTILE = textwrap.dedent(
    """
    from kaizen_processors.redaction import Redactor

    redactor = Redactor()
    HINTS = " @ :// private key----- eyJ sk- bearer password cookie "
    size = 1_000_000
    units = [
        "a", "@", "a@", "a.", "a@a.", "@a.", "1", "4 ", "4111 ", "4111-1111-1111-11 ", "sk-", "AKIA", "eyJ",
        "eyJaaaaaaaa.", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "://", "://a:", "://a:b", "bearer ", "bearer a",
        "password", "password ", "password=", 'password="', "password=\\\\", "authorization: ", "\\ud800", "é",
    ]
    for unit in units:
        half = unit * (size // len(unit) // 2)
        redactor.text(half + HINTS + half)
    Redactor(patterns={"quadratic": "q+z"}).text("q" * (size // 4))
    print(len(units))
    """
)


def test_hostile_megabytes_take_linear_time() -> None:
    """One quadratic expression would need hours: the limit stands for "does not come back"."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=400, check=True
    )

    assert done.stdout.strip() == "29"

"""What is redacted from text, as a table: one rule per kind of secret.

Every expression here takes time linear in the text, whatever the text: a repeat is either possessive, or bounded, or
the last thing of its expression, and one that may start anywhere in a run of its own characters is held to the run's
beginning by a look-behind. `tests/processors/redaction/test_texts.py` holds them to that with hostile megabytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_KEYS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "api_key",
    "access_key",
    "private_key",
    "secret_key",
    "signing_key",
    "encryption_key",
    "authorization",
    "credential",
    "credentials",
    "connection_string",
    "cookie",
)
"""Names whose values are secrets. A key is one of them when it ends in one, whatever its case and separators:
`OPENAI_API_KEY`, `x-api-key` and `refreshToken` are, `max_tokens` and `token_count` are not."""

_QUOTE = r"\\{0,3}[\"']"
_ASSIGN = rf"(?:{_QUOTE})?\s{{0,8}}[:=]\s{{0,8}}"
"""`: `, `=`, `": ` and `\\": `: JSON inside a JSON string is what tool arguments look like."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret: where it may be at all, where it is, and what stands there afterwards."""

    hints: tuple[str, ...]
    """Lower-case literals; without one of them in the text the expression is not run. It makes clean text cheap."""
    pattern: re.Pattern[str]
    """Finds the secret: the one group that matched, or the whole match when there is no group."""
    replacement: str
    folded: bool = False
    """Whether the expression is run on the text in lower case: several times faster than `re.IGNORECASE`."""


def fold(text: str) -> str:
    """Give `text` in lower case, every character in its place: U+0130 alone would become two."""
    return text.replace("\u0130", "i").lower()


def marker(kind: str) -> str:
    """Give the text that stands where a secret of this kind stood."""
    return f"[redacted:{kind}]"


PRIVATE_KEY = Rule(
    ("private key-----",),
    re.compile(
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
    ),
    marker("private_key"),
)

URL_CREDENTIALS = Rule(
    ("://",),
    # Up to the last `@` of the authority: passwords may hold one.
    re.compile(r"(?<=://)[^\s/@:\"'<>]{0,256}+:[^\s/\"'<>]{1,256}(?=@)"),
    marker("credentials"),
)

HEADER = Rule(
    ("authorization", "cookie"),
    re.compile(rf"(?:authorization|cookie){_ASSIGN}(?:{_QUOTE})?([^\r\n\"'\\]+)"),
    marker("secret"),
    folded=True,
)
"""HTTP headers run to the end of their line: `Authorization: Basic dXNlcjpwYXNz` has two words."""

JWT = Rule(
    ("eyj",),
    re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){0,3}"),
    marker("jwt"),
)

API_KEY = Rule(
    (
        *("sk-", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "gsk_"),
        *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
        *("akia", "asia", "aiza", "xox", "hf_", "npm_", "pypi-"),
    ),
    re.compile(
        r"""(?x)(?<![A-Za-z0-9])(?:
            sk-[A-Za-z0-9_-]{16,}+                   # OpenAI, Anthropic, OpenRouter, DeepSeek …
          | [sr]k_(?:live|test)_[A-Za-z0-9]{16,}+    # Stripe
          | gsk_[A-Za-z0-9]{20,}+                    # Groq
          | gh[pousr]_[A-Za-z0-9]{20,}+              # GitHub
          | github_pat_[A-Za-z0-9_]{20,}+
          | glpat-[A-Za-z0-9_-]{16,}+                # GitLab
          | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])    # AWS access key id
          | AIza[A-Za-z0-9_-]{30,}+                  # Google
          | xox[a-z]-[A-Za-z0-9-]{10,}+              # Slack
          | hf_[A-Za-z0-9]{20,}+                     # Hugging Face
          | npm_[A-Za-z0-9]{30,}+
          | pypi-[A-Za-z0-9_-]{30,}+
        )"""
    ),
    marker("api_key"),
)

BEARER = Rule(
    ("bearer",),
    # A word after "bearer" is a token when it has a digit, or more letters than a word of prose.
    re.compile(
        r"(?<![a-z0-9])bearer\s{1,8}+((?=[a-z._~+/=-]*+[0-9])[a-z0-9._~+/=-]{6,}+|[a-z0-9._~+/=-]{16,}+)",
    ),
    marker("token"),
    folded=True,
)

EMAIL = Rule(
    ("@",),
    re.compile(r"(?<![\w.%+-])[\w.%+-]++@(?:[\w-]++\.)+[^\W\d_]{2,}+"),
    marker("email"),
)


def assignment(keys: Iterable[str]) -> Rule:
    """Make the rule for `key=value` and `"key": "value"` written inside a text."""
    words = [re.findall(r"[^\W_]+", fold(key)) for key in keys]
    names = "|".join(r"[_\- ]?".join(map(re.escape, parts)) for parts in words)
    value = (
        r"""(?:"((?:[^"\\]++|\\(?s:.))++)|'((?:[^'\\]++|\\(?s:.))++)|\\{1,3}["']([^"'\\]++)|([^\s"',;&{}()\[\]\\]++))"""
    )
    return Rule(
        tuple(sorted({parts[0] for parts in words})),
        re.compile(rf"(?:{names}){_ASSIGN}{value}"),
        marker("secret"),
        folded=True,
    )


BEFORE_ASSIGNMENT = (PRIVATE_KEY, URL_CREDENTIALS, HEADER, JWT, API_KEY, BEARER)
"""In this order: a header is read whole before its value is taken for a plain one."""

AFTER_ASSIGNMENT = (EMAIL,)

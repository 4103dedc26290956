"""One of each secret, and a redactor of the built-in rules."""

from __future__ import annotations

from kaizen_processors.redaction import Redactor

REDACTOR = Redactor()
SECRETS = {
    "openai": "sk-proj-abcDEF1234567890abcDEF",
    "anthropic": "sk-ant-api03-abcdefghijklmnop",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_fine": "github_pat_11ABCDEFG0abcdefghijkl_mnop",
    "gitlab": "glpat-abcdefghij0123456789",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "google": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "slack": "xoxb-123456789012-abcdefghij",
    "stripe": "sk_live_abcdefghijklmnop1234",
    "huggingface": "hf_abcdefghijklmnopqrstuvwx",
    "groq": "gsk_abcdefghijklmnopqrstuvwx",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "bearer": "Bearer abc123def456",
    "email": "ann.o'brien+test@mail.example.co.uk",
    "international_email": "анна@пример.рф",
    "visa": "4111 1111 1111 1111",
    "mastercard": "5500-0000-0000-0004",
    "amex": "378282246310005",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "database_url": "postgres://admin:pa55@word@db.internal:5432/x",
}

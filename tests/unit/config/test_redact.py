"""No password in anything that people see."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.config.redact import mask_url, redact
from tests.examples import examples


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me@host/db?password=secret&sslmode=require", "postgresql://me@host/db?password=***&sslmode=require"),
        ("postgresql://me@host/db?sslpassword=secret", "postgresql://me@host/db?sslpassword=***"),
        ("redis://:secret@host", "redis://:***@host"),
        ("postgresql://me:se@cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:se/cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:12/cret@host/db", "postgresql://me:***@host/db"),
        ("s3://bucket/key?X-Amz-Signature=secret", "s3://bucket/key?X-Amz-Signature=***"),
        ("http://host/?api_key=secret&a=1", "http://host/?api_key=***&a=1"),
        ("postgresql://host:5432/db?email=a@b", "postgresql://host:5432/db?email=a@b"),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("postgresql://me:secret@[::1]:5432/db", "postgresql://me:***@[::1]:5432/db"),
        ("postgresql:///db", "postgresql:///db"),
        ("./my data.duckdb", "./my data.duckdb"),
    ],
)
def test_a_url_without_its_secrets(url, masked):
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("cannot reach 'postgresql://me:pa'ss@h/db', twice", "cannot reach 'postgresql://me:***@h/db', twice"),
        ("from a://u:p@h to b://v:q@g", "from a://u:***@h to b://v:***@g"),
        ("dsn host=h password=secret user=me", "dsn host=h password=*** user=me"),
        ("dsn password='se cret' user=me", "dsn password=*** user=me"),
        ("password authentication failed for user 'me'", "password authentication failed for user 'me'"),
        ("nothing here", "nothing here"),
    ],
)
def test_secrets_inside_a_message(text, safe):
    assert redact(text) == safe


@settings(max_examples=examples(200), deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1).map(lambda s: f"#@secret{s}"))
def test_no_password_survives_whatever_it_is_made_of(password):
    assert "secret" not in mask_url(f"postgresql://me:{password}@host/db")
    assert "secret" not in redact(f"cannot reach postgresql://me:{password}@host/db")

"""An ID token is believed only where all of it holds (OpenID Connect Core 1.0 3.1.3.7)."""

import time

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, RSAKey

from scp.configuration.openid import OpenID
from scp.console.openid import Flow, OpenIDError, Provider
from scp.console.visitors import Role

ISSUER = "https://login.hospital.example"
KEY = RSAKey.generate_key(2048, {"kid": "1"})
STRANGER = RSAKey.generate_key(2048, {"kid": "1"})
FLOW = Flow(state="s", nonce="n", verifier="v", until=0.0)


@pytest.fixture
def provider():
    new_provider = Provider(
        OpenID(
            issuer=ISSUER,
            client_id="secondread",
            address="https://secondread.hospital.example",
            role_claim="realm_access.roles",
            admins=("pacs-admins",),
            viewers=("*",),
        )
    )
    keys = KeySet([RSAKey.import_key(KEY.as_dict(private=False))])
    new_provider._about = lambda *, anew=False: ({}, keys)
    return new_provider


def claims(**changed):
    now = int(time.time())
    usual = {"iss": ISSUER, "sub": "4711", "aud": "secondread", "iat": now, "exp": now + 60, "nonce": "n"}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(key=KEY, algorithm="RS256", **changed):
    return jwt.encode({"alg": algorithm, "kid": "1"}, claims(**changed), key, algorithms=[algorithm])


def test_a_token_that_holds_is_believed(provider):
    assert provider._checked(token(), "a", FLOW)["sub"] == "4711"
    assert provider._checked(token(aud=["secondread", "other"], azp="secondread"), "a", FLOW)["sub"] == "4711"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": ["secondread", "other"], "azp": "other"},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"sub": None},
        {"exp": 1},
        {"exp": None},
        {"key": STRANGER},
        {"key": OctKey.import_key("a" * 32), "algorithm": "HS256"},
    ],
    ids=[
        "issuer",
        "audience",
        "authorised party",
        "nonce",
        "no nonce",
        "no subject",
        "expired",
        "no expiry",
        "key of a stranger",
        "shared key",
    ],
)
def test_a_token_that_does_not_hold_is_not(provider, changed):
    with pytest.raises((JoseError, ValueError)):
        provider._checked(token(**changed), "a", FLOW)


def test_an_unsigned_token_is_not_believed(provider):
    head, body, _ = token().split(".")
    with pytest.raises((JoseError, ValueError)):
        provider._checked(f"eyJhbGciOiJub25lIn0.{body}.", "a", FLOW)
    with pytest.raises((JoseError, ValueError)):
        provider._checked(f"{head}.{body}.", "a", FLOW)


def test_the_role_is_the_highest_of_the_groups(provider):
    person = provider._person(claims(preferred_username="ada", realm_access={"roles": ["x", "pacs-admins"]}))
    assert (person.name, person.role) == ("ada", Role.ADMIN)
    person = provider._person(claims(preferred_username="Jörg Müller"))
    assert person.role is Role.VIEWER
    assert person.name == f"openid-{person.subject[:12]}"
    strict = Provider(provider._settings.model_copy(update={"viewers": ()}))
    with pytest.raises(OpenIDError, match="none of the groups"):
        strict._person(claims(realm_access="pacs"))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"issuer": "http://login.hospital.example"}, "an https address"),
        ({"issuer": ISSUER}, "needs client_id and address"),
        ({"issuer": ISSUER, "client_id": "c", "address": "https://a.example"}, "lets nobody in"),
    ],
)
def test_settings_that_would_let_nobody_or_anybody_in_are_refused(keys, words):
    with pytest.raises(ValueError, match=words):
        OpenID(**keys)

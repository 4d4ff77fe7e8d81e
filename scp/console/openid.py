"""Sign-in by OpenID Connect (Core 1.0 3.1): code flow with PKCE, state and nonce. The only user of Authlib.

What the provider says is believed after its signature, issuer, audience, times and nonce were checked; the
answer counts in the browser alone that has asked, once, for ten minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from scp.configuration.openid import EVERY_USER, OpenID
from scp.console.access import NAME
from scp.console.visitors import Role
from scp.network import openid_provider, web_session
from scp.network import secrets as named_secrets
from scp.network.openid_provider import ProviderError
from scp.network.secrets import SecretError

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 3600.0
"""What the provider says about itself is asked again after so long."""
PAUSE_SECONDS: Final = 10.0
"""After it did not answer it is left alone for so long."""
FLOW_SECONDS: Final = 600.0
"""How long a person may take to sign in there."""
MOST_FLOWS: Final = 1000
"""Strangers may begin as many as they want: the oldest are forgotten."""
LEEWAY: Final = 60
"""Seconds by which both clocks may differ."""
UNUSABLE: Final = (AuthlibBaseError, JoseError, requests.RequestException, ValueError, KeyError, TypeError)
"""What the libraries raise where an answer is missing, is not what it should be, or is false."""
SILENT: Final = "the OpenID provider cannot be reached now: try again soon"
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "RS384", "PS384", "ES384", "RS512", "PS512", "ES512", "EdDSA"]
"""Signatures with a key pair alone: with a shared secret, or none, whoever knows it could be anybody."""


class OpenIDError(Exception):
    """Nobody is signed in; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """One sign-in under way."""

    state: str
    nonce: str
    verifier: str
    until: float
    """By the monotonic clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """For whom the provider vouches."""

    subject: str
    """Digest of issuer and subject: the same for good."""
    name: str
    role: Role


class Provider:
    """The provider of ``[openid]``. Safe for use from many threads."""

    def __init__(self, settings: OpenID) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._not_before = 0.0
        self._flows: OrderedDict[str, Flow] = OrderedDict()
        self._discovery: tuple[float, dict[str, Any], KeySet] | None = None

    def begin(self) -> tuple[str, str]:
        """Return where a browser signs in, and what shows that it has begun. Raises OpenIDError."""
        metadata, _ = self._about()
        flow = Flow(
            state=secrets.token_urlsafe(),
            nonce=secrets.token_urlsafe(),
            verifier=secrets.token_urlsafe(48),
            until=time.monotonic() + FLOW_SECONDS,
        )
        secret = secrets.token_urlsafe()
        with self._session() as session:
            address, _ = session.create_authorization_url(
                metadata["authorization_endpoint"],
                state=flow.state,
                nonce=flow.nonce,
                code_verifier=flow.verifier,
            )
        with self._lock:
            self._flows[secret] = flow
            while len(self._flows) > MOST_FLOWS:
                self._flows.popitem(last=False)
        return str(address), secret

    def finish(self, secret: str, answer: Mapping[str, str]) -> Person:
        """Return for whom the provider vouches in its ``answer`` to the sign-in. Raises OpenIDError."""
        with self._lock:
            flow = self._flows.pop(secret, None)
        if flow is None or flow.until < time.monotonic():
            raise OpenIDError("this sign-in took too long, or was begun in another browser: begin again")
        if not hmac.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
            raise OpenIDError("this answer belongs to another sign-in: begin again")
        if answer.get("iss", self._settings.issuer).rstrip("/") != self._settings.issuer:  # RFC 9207 2.4
            raise OpenIDError("this answer comes from another provider")
        if "error" in answer or not answer.get("code"):
            raise OpenIDError("the provider has let nobody in")
        metadata, _ = self._about()
        try:
            claims = self._claims(metadata, answer["code"], flow)
        except UNUSABLE as error:
            log.warning("sign-in by OpenID failed", reason=type(error).__name__, detail=_safe(error))
            raise OpenIDError("what the provider answers cannot be believed; the log says why") from error
        return self._person(claims)

    def end_address(self) -> str | None:
        """Return where a browser signs out of the provider too (RP-Initiated Logout 1.0), if it has such."""
        try:
            metadata, _ = self._about()
        except OpenIDError:
            return None
        if "end_session_endpoint" not in metadata:
            return None
        back = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": f"{self._settings.address}/sign-in",
        }
        return f"{metadata['end_session_endpoint']}?{urlencode(back)}"

    def _claims(self, metadata: dict[str, Any], code: str, flow: Flow) -> dict[str, Any]:
        """Exchange ``code``; return what the ID token says, and the userinfo where that lacks something."""
        with self._session(metadata) as session:
            token = session.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=flow.verifier,
                allow_redirects=False,
            )
            claims = self._checked(token["id_token"], str(token["access_token"]), flow)
            names = (self._settings.name_claim, self._settings.role_claim)
            if "userinfo_endpoint" in metadata and any(_claim(claims, name) is None for name in names):
                answer = session.get(metadata["userinfo_endpoint"], allow_redirects=False)
                answer.raise_for_status()
                more = answer.json()
                if more["sub"] != claims["sub"]:  # Core 5.3.2
                    raise ValueError("userinfo of another subject")
                claims = more | claims
        return claims

    def _checked(self, id_token: str, access_token: str, flow: Flow) -> dict[str, Any]:
        """Return the claims of an ID token, once all of Core 3.1.3.7 holds."""
        _, keys = self._about()
        try:
            token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):  # signed with a key that is newer than those known
            _, keys = self._about(anew=True)
            token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        settings = self._settings
        issuers = [settings.issuer, f"{settings.issuer}/"]
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "values": issuers},
                "aud": {"essential": True, "value": settings.client_id},
            },
            params={"nonce": flow.nonce, "client_id": settings.client_id, "access_token": access_token},
        )
        claims.validate(now=int(time.time()), leeway=LEEWAY)
        return dict(claims)

    def _person(self, claims: Mapping[str, Any]) -> Person:
        groups = _claim(claims, self._settings.role_claim)
        names = {groups} if isinstance(groups, str) else set(map(str, groups or ()))
        roles = {
            Role.VIEWER: self._settings.viewers,
            Role.OPERATOR: self._settings.operators,
            Role.ADMIN: self._settings.admins,
        }
        held = [role for role, members in roles.items() if names & set(members) or EVERY_USER in members]
        if not held:
            raise OpenIDError("your account is in none of the groups that may use this console")
        subject = hashlib.sha256(f"{self._settings.issuer} {claims['sub']}".encode()).hexdigest()
        name = str(_claim(claims, self._settings.name_claim) or "")
        return Person(
            subject=subject,
            name=name if NAME.fullmatch(name) else f"openid-{subject[:12]}",
            role=max(held),
        )

    def _about(self, *, anew: bool = False) -> tuple[dict[str, Any], KeySet]:
        """Return what the provider says about itself (Discovery 1.0 4), and its keys. Raises OpenIDError."""
        with self._asking:  # one at a time: strangers must not hold every thread while the provider is silent
            discovery, now = self._discovery, time.monotonic()
            if discovery is not None and not anew and now - discovery[0] < FRESH_SECONDS:
                return discovery[1], discovery[2]
            if now < self._not_before:
                raise OpenIDError(SILENT)
            try:
                metadata, keys = openid_provider.ask(self._settings)
            except ProviderError as error:
                self._not_before = time.monotonic() + PAUSE_SECONDS
                log.warning("the OpenID provider cannot be asked", reason=str(error))
                raise OpenIDError(SILENT) from error
            self._discovery = time.monotonic(), metadata, keys
            return metadata, keys

    def _session(self, metadata: Mapping[str, Any] | None = None) -> OAuth2Session:
        settings = self._settings
        try:
            secret = None if settings.client_secret is None else named_secrets.read(settings.client_secret)
        except SecretError as error:
            log.error("[openid] client_secret cannot be had", reason=str(error))  # noqa: TRY400 - a sentence
            raise OpenIDError("the console cannot prove who it is; its log says why") from error
        methods = (metadata or {}).get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        session = OAuth2Session(
            settings.client_id,
            secret,
            scope=" ".join(settings.scopes),
            redirect_uri=settings.back,
            code_challenge_method="S256",
            token_endpoint_auth_method="none" if secret is None else method,
            default_timeout=openid_provider.SECONDS,
        )
        web_session.secure(session, authorities=settings.authorities, silence=openid_provider.SECONDS)
        return session


def _claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever the provider says
    """Return a claim by its name, or by its path through others, such as ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _safe(error: Exception) -> str:
    """Say what went wrong without what was sent: addresses hold codes, answers hold names."""
    match error:
        case AuthlibBaseError():
            return str(error.error)
        case JoseError():
            return error.error
        case requests.HTTPError() if error.response is not None:
            return f"HTTP {error.response.status_code}"
        case _:
            pass
    return type(error).__name__

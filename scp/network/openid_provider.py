"""What an OpenID provider says about itself (Discovery 1.0 4), and the keys that it signs with.

Console and ``check`` want it. The libraries are imported where a provider is asked: a node without one starts
without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from scp.configuration.openid import OpenID, address
from scp.network import web_session

if TYPE_CHECKING:
    from joserfc.jwk import KeySet
    from requests import Session

SECONDS: Final = 10.0
"""How long the provider may be silent; an answer as a whole gets this and the time for its size."""
DISCOVERY: Final = "/.well-known/openid-configuration"


class ProviderError(Exception):
    """The provider is of no use; the message says why and what to do, and holds nothing that it sent."""


def ask(settings: OpenID) -> tuple[dict[str, Any], KeySet]:
    """Return what the provider says about itself, and its keys. Raises ProviderError."""
    import requests  # noqa: PLC0415 - see above
    from joserfc.errors import JoseError  # noqa: PLC0415 - see above
    from joserfc.jwk import KeySet  # noqa: PLC0415 - see above

    authorities = settings.authorities
    if authorities is not None and not authorities.is_file():
        raise ProviderError(f"[openid] authorities = {authorities} is no file")
    with requests.Session() as session:
        web_session.secure(session, authorities=authorities, silence=SECONDS)
        metadata = _json(session, settings.issuer + DISCOVERY)
        _check(metadata, settings.issuer)
        content = _json(session, metadata["jwks_uri"])
    try:
        keys = KeySet.import_key_set(content)  # type: ignore[arg-type]
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ProviderError(f"{settings.issuer}: its keys cannot be read: look at the provider") from error
    return metadata, keys


def _json(session: Session, place: str) -> dict[str, Any]:
    import requests  # noqa: PLC0415 - see above

    try:
        answer = session.get(place, timeout=SECONDS, allow_redirects=False)
        if answer.status_code != requests.codes.ok:
            raise ProviderError(f"{place}: HTTP {answer.status_code}: is [openid] issuer right?")
        content = answer.json()
    except requests.exceptions.SSLError as error:
        words = "its certificate or its TLS is not accepted: correct [openid] authorities"
        raise ProviderError(f"{place}: {words}") from error
    except requests.exceptions.JSONDecodeError as error:
        raise ProviderError(f"{place}: it answers, but not with JSON: is [openid] issuer right?") from error
    except requests.RequestException as error:
        raise ProviderError(f"{place}: {web_session.no_answer(error)}") from error
    if not isinstance(content, dict):
        raise ProviderError(f"{place}: it answers, but with no JSON object: is [openid] issuer right?")
    return content


def _check(metadata: Mapping[str, Any], issuer: str) -> None:
    """Raise ProviderError where it is another provider's (Discovery 1.0 4.3), or goes in clear."""
    if str(metadata.get("issuer")).rstrip("/") != issuer:
        raise ProviderError(f"{issuer}: the provider calls itself otherwise: write its own name as issuer")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not metadata.get(name):
            raise ProviderError(f"{issuer}: the provider has no {name}: is it one of OpenID Connect?")
        try:
            address(str(metadata[name]))
        except ValueError as error:
            raise ProviderError(f"{issuer}: its {name} is no https address") from error

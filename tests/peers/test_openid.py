"""People sign in to a real console at a real OpenID provider (oidc-provider), as their browsers would."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from scp.configuration.settings import load
from scp.console.openid import OpenIDError, Provider
from scp.network import openid_provider
from storage.database.engine import Database
from tests.support import openid, ungated, web
from tests.support.peers import free_port

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def console_port():
    return free_port()


@pytest.fixture(scope="module")
def issuer(console_port):
    with openid.provider(console_port) as address:
        yield address


@pytest.fixture(scope="module")
def config(tmp_path_factory, issuer, console_port):
    folder = tmp_path_factory.mktemp("openid")
    Database.open(folder / "data").close()
    path = folder / "config.toml"
    path.write_text(
        f"""
[node]
data_dir = "data"

[model]
name = "{ungated.copy("document-cnn-1.2.0", folder / "model")}"
{openid.section(folder, issuer, console_port)}"""
    )
    return path


@pytest.fixture(scope="module")
def console(config, console_port):
    running = web.Console(config, port=console_port)
    yield running
    assert running.stop() == 0


def at(console, path=""):
    return f"http://127.0.0.1:{console.port}{path}"


def through_the_provider(browser, answer, name):
    """Fill in the forms of the provider; return what the console answers in the end."""
    for fields in ({"prompt": "login", "login": name, "password": "any"}, {"prompt": "consent"}):
        action = unescape(re.search(r'action="([^"]+)"', answer.text)[1])
        answer = browser.post(action, data=fields, timeout=20)
    return answer


def signed_in(console, name):
    browser = requests.Session()
    answer = browser.get(at(console, "/sign-in/openid"), timeout=20)
    return browser, through_the_provider(browser, answer, name)


def test_a_person_gets_the_role_of_its_groups_and_signs_out_at_both(console, config, issuer):
    assert "Sign in at 127.0.0.1" in requests.get(at(console, "/sign-in"), timeout=20).text
    browser, answer = signed_in(console, "olaf")
    assert answer.status_code == 200
    assert 'content="0; url=/"' in answer.text
    page = browser.get(at(console, "/"), timeout=20).text
    assert "signed in as olaf, operator" in page
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    leaving = browser.post(at(console, "/sign-out"), data={"csrf": csrf}, timeout=20).text
    end = unescape(re.search(rf'href="({issuer}[^"]+)"', leaving)[1])
    assert browser.get(at(console, "/"), allow_redirects=False, timeout=20).status_code in {303, 401}
    assert browser.get(end, timeout=20).status_code == 200
    browser, _ = signed_in(console, "ada")
    assert "signed in as ada, admin" in browser.get(at(console, "/users"), timeout=20).text.replace("\n", "")
    assert "signs in at the OpenID provider" in browser.get(at(console, "/users"), timeout=20).text


def test_who_is_in_no_group_stays_outside(console):
    browser, answer = signed_in(console, "eve")
    assert answer.status_code == 401
    assert "none of the groups" in answer.text
    html = {"Accept": "text/html"}
    assert browser.get(at(console, "/"), headers=html, timeout=20).url.endswith("/sign-in")


def test_an_answer_counts_once_in_the_browser_that_asked(console, config):
    browser = requests.Session()
    answer = browser.get(at(console, "/sign-in/openid"), timeout=20)
    login = {"prompt": "login", "login": "ada", "password": "any"}
    action = unescape(re.search(r'action="([^"]+)"', answer.text)[1])
    answer = browser.post(action, data=login, timeout=20)
    action = unescape(re.search(r'action="([^"]+)"', answer.text)[1])
    answer = browser.post(action, data={"prompt": "consent"}, allow_redirects=False, timeout=20)
    while "/sign-in/openid/back" not in (place := answer.headers["Location"]):
        answer = browser.get(place, allow_redirects=False, timeout=20)
    stolen = requests.get(place, timeout=20)
    assert stolen.status_code == 401
    assert "another browser" in stolen.text
    assert browser.get(place, timeout=20).status_code == 200
    assert browser.get(place, timeout=20).status_code == 401


def test_what_does_not_fit_is_refused(config, monkeypatch):
    settings = load(config, {}).openid
    provider = Provider(settings)
    address, secret = provider.begin()
    query = parse_qs(urlsplit(address).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["nonce"][0]) > 20
    with pytest.raises(OpenIDError, match="another sign-in"):
        provider.finish(secret, {"state": "wrong", "code": "x"})
    with pytest.raises(OpenIDError, match="too long"):
        provider.finish(secret, {"state": query["state"][0], "code": "x"})
    for answer, words in (
        ({"code": "made up"}, "cannot be believed"),
        ({"error": "access_denied"}, "let nobody in"),
        ({"code": "x", "iss": "https://elsewhere.example"}, "another provider"),
    ):
        address, secret = provider.begin()
        state = parse_qs(urlsplit(address).query)["state"][0]
        with pytest.raises(OpenIDError, match=words):
            provider.finish(secret, {"state": state} | answer)
    down = Provider(settings.model_copy(update={"issuer": f"http://127.0.0.1:{free_port()}"}))
    with pytest.raises(OpenIDError, match="cannot be reached"):
        down.begin()
    monkeypatch.setattr(openid_provider, "ask", pytest.fail)
    with pytest.raises(OpenIDError, match="cannot be reached"):
        down.begin()

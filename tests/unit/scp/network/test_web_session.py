"""What an OpenID provider or a webhook can answer: nothing of it takes memory or time of the node."""

import socket
import time
from datetime import UTC, datetime

import pytest

from scp.alerts import channels
from scp.alerts.channels import ChannelError
from scp.configuration.alerts import Alerts
from scp.configuration.openid import OpenID
from scp.configuration.settings import Settings
from scp.network import openid_provider, web_answers
from scp.network.openid_provider import ProviderError
from tests.support.http_answers import OK, Service, dripping, without_end

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def service():
    running = Service()
    yield running
    running.close()


def ask_provider(url):
    settings = OpenID(issuer=url, client_id="secondread", address="http://127.0.0.1:8080", viewers=("*",))
    openid_provider.ask(settings)


def post(url):
    channels.post(Settings(alerts=Alerts(webhook_url=url)), None, NOW)


def knock(url):
    channels.knock(Alerts(webhook_url=url))


@pytest.mark.parametrize(
    ("call", "error"), [(ask_provider, ProviderError), (post, ChannelError), (knock, ChannelError)]
)
def test_headers_that_come_byte_by_byte_end_with_their_time(service, monkeypatch, call, error):
    monkeypatch.setattr(openid_provider, "SECONDS", 0.5)
    monkeypatch.setattr(channels, "SECONDS", 0.5)
    service.answer = lambda: dripping(OK + b"X-Long: ")
    began = time.monotonic()
    with pytest.raises(error, match="no answer came in time, or not all of it"):
        call(service.url)
    assert time.monotonic() - began < 30  # it would never end


@pytest.mark.parametrize(("call", "error"), [(ask_provider, ProviderError), (post, ChannelError)])
def test_time_that_is_over_before_there_is_a_connection_ends_the_call_too(service, monkeypatch, call, error):
    look_up = socket.getaddrinfo

    def look_up_slowly(*arguments, **named):
        time.sleep(0.6)
        return look_up(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    monkeypatch.setattr(openid_provider, "SECONDS", 0.2)
    monkeypatch.setattr(channels, "SECONDS", 0.2)
    service.answer = lambda: dripping(OK + b"X-Long: ")
    with pytest.raises(error, match="no answer came in time"):
        call(service.url)


@pytest.fixture
def without_end_served(service, monkeypatch):
    monkeypatch.setattr(web_answers, "LONGEST_WORDS", 100_000)
    service.answer = without_end
    return service.url


def test_what_a_provider_says_without_end_is_cut(without_end_served):
    with pytest.raises(ProviderError, match="its answer does not end"):
        ask_provider(without_end_served)


def test_a_webhook_that_has_answered_is_told_whatever_follows(without_end_served):
    post(without_end_served)

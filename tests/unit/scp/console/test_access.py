"""Who may use the console, once there are users."""

import io
import os
import pwd
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from scp.auditing.trail import Trail
from scp.configuration.console import Console
from scp.configuration.sections import Node
from scp.configuration.settings import Settings, load
from scp.console import access, user_commands
from scp.console.access import LOCKED, MOST_FAILURES, SignInError
from scp.console.visitors import Role
from scp.errors import CommandError
from storage import users
from storage.database.engine import Database
from storage.queue import jobs
from storage.records import JobKind
from storage.states import JobState
from tests.support import audit_messages, ungated, web
from tests.support.web import Browser
from tests.unit.storage.making import FAILED, Hand, arrival, finding

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    opened = Database.open(tmp_path_factory.mktemp("users"))
    with opened.write() as tx:
        users.add(tx, "ann", role="viewer", password_hash=access.hashed(PASSWORD), now=NOW)
    yield opened
    opened.close()


def sign_in(database, password=PASSWORD, *, now=NOW, secret="s" * 32, name="ann"):
    access.sign_in(database, name, password, secret=secret, now=now)


def name_of(database, *, now=NOW, **credential):
    user = access.user_of(database, **({"secret": None, "token": None} | credential), now=now)
    return user and user.name


def test_a_try_that_waits_meets_the_lock_that_others_bring(database):
    with access._one_at_a_time, ThreadPoolExecutor(1) as threads:
        attempt = threads.submit(sign_in, database)
        with database.write() as tx:
            for _ in range(MOST_FAILURES):
                users.failed(tx, "ann", most=MOST_FAILURES, locked_until=NOW + LOCKED)
        access._one_at_a_time.release()
        try:
            with pytest.raises(SignInError):
                attempt.result()
        finally:
            access._one_at_a_time.acquire()
    with database.write() as tx:
        users.succeeded(tx, "ann")


def test_text_that_is_none_is_no_name_and_no_password(database):
    for name, password in (("\ud800", PASSWORD), ("ann", "\ud800")):
        with pytest.raises(SignInError):
            sign_in(database, password, name=name)


def test_a_browser_stands_for_who_signed_in_until_it_was_idle(database):
    sign_in(database)
    assert name_of(database, secret="s" * 32) == "ann"
    assert name_of(database, secret="x" * 32) is None
    assert name_of(database, token="s" * 32) is None
    assert name_of(database, secret="s" * 32, now=NOW + timedelta(minutes=59)) == "ann"
    assert name_of(database, secret="s" * 32, now=NOW + timedelta(minutes=118)) == "ann"
    assert name_of(database, secret="s" * 32, now=NOW + timedelta(hours=4)) is None
    access.sign_out(database, "s" * 32)
    assert name_of(database, secret="s" * 32) is None


def test_too_many_wrong_passwords_lock_for_a_while(database):
    for _ in range(MOST_FAILURES):
        with pytest.raises(SignInError):
            sign_in(database, "wrong", secret="t" * 32)
    with pytest.raises(SignInError, match="locked"):
        sign_in(database, secret="t" * 32)
    sign_in(database, secret="t" * 32, now=NOW + LOCKED + timedelta(seconds=1))
    with pytest.raises(SignInError):
        sign_in(database, name="nobody", secret="u" * 32)


def test_a_token_stands_for_its_user_and_goes_with_it(database):
    with database.write() as tx:
        users.add(tx, "ben", role="operator", password_hash="none", now=NOW)
    token = access.new_token(database, "ben", "scripts", now=NOW)
    assert name_of(database, token=token) == "ben"
    assert name_of(database, secret=token) is None
    with database.write() as tx:
        assert users.remove(tx, "ben")
    assert name_of(database, token=token) is None


@pytest.mark.parametrize(
    ("console", "user_number", "words"),
    [
        (Console(), 0, None),
        (Console(host="::1"), 0, None),
        (Console(host="0.0.0.0"), 0, "there are no users"),
        (Console(names=("console.example",)), 0, "there are no users"),
        (Console(behind_proxy=True), 0, "there are no users"),
        (Console(host="0.0.0.0"), 1, "in the clear"),
        (Console(host="0.0.0.0", behind_proxy=True), 1, None),
    ],
)
def test_others_get_in_with_users_and_encrypted_alone(console, user_number, words):
    refusal = access.refusal(console, user_number=user_number)
    assert (refusal is None) if words is None else (words in refusal)


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    Database.open(folder / "data").close()
    config = folder / "config.toml"
    model = ungated.copy("document-cnn-1.2.0", folder / "model")
    config.write_text(
        f'[node]\ndata_dir = "data"\n[model]\nname = "{model}"\n[audit]\nto = "tcp://127.0.0.1:1"\n'
    )
    settings = load(config, {})
    for name, role in (("vera", "viewer"), ("olaf", "operator"), ("ada", "admin")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
            assert user_commands.add(settings, name, role=role) == 0
    running = web.Console(config)
    running.settings = settings
    yield running
    assert running.stop() == 0


def signed_in(console, name):
    browser = console.browser()
    answer = browser.post("/sign-in", {"csrf": browser.csrf("/sign-in"), "name": name, "password": PASSWORD})
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    return browser


def test_a_stranger_sees_the_sign_in_alone(console):
    stranger = console.browser()
    answer = stranger.get("/studies")
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    assert stranger.get("/metrics", Accept="*/*").status == 401
    assert stranger.post("/predict", files=[("a.png", b"x")], Accept="*/*").status == 401
    assert stranger.get("/healthz").status == 200
    wrong = {"csrf": stranger.csrf("/sign-in"), "name": "vera", "password": "wrong"}
    again = stranger.post("/sign-in", wrong)
    assert again.status == 401
    assert 'name="name" value="vera"' in again.text
    assert stranger.get("/studies").status == 303


def test_who_signs_in_is_told_to_the_audit_trail(console):
    trail = Trail(settings=console.settings)
    before = len(audit_messages.waiting(trail))
    browser = signed_in(console, "olaf")
    wrong = {"csrf": browser.csrf("/analyse"), "name": "vera", "password": "wrong"}
    browser.post("/sign-in", wrong)
    browser.post("/sign-out", {"csrf": browser.csrf("/analyse")})
    messages = audit_messages.waiting(trail)[before:]
    assert [(entry.kind, entry.outcome, entry.requestor) for entry in messages] == [
        ("Login", "0", "olaf"),
        ("Login", "4", "vera"),
        ("Logout", "0", "olaf"),
    ]


def test_a_viewer_looks_and_changes_nothing(console):
    viewer = signed_in(console, "vera")
    page = viewer.get("/")
    assert "signed in as vera, viewer" in page.words
    proof = {"csrf": viewer.csrf("/analyse"), "destination": "PACS"}
    assert viewer.post("/retry", proof).status == 403
    assert viewer.get("/studies?identity=1").status == 403
    assert viewer.post("/studies", proof | {"q": "2", "identity": "1"}).status == 403
    assert "Patient ID" not in viewer.post("/studies", proof | {"q": "2"}).words
    assert signed_in(console, "olaf").get("/").status == 200
    before = dict(viewer.cookies)
    assert viewer.post("/sign-out", proof).status == 303
    stolen = Browser(console.port)
    stolen.cookies = before
    assert stolen.get("/").status == 303


def test_a_program_comes_with_a_token(console, capsys):
    assert user_commands.token(console.settings, "vera", label="prometheus") == 0
    bearer = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}", "Accept": "*/*"}
    assert console.browser().get("/metrics", **bearer).status == 200
    assert console.browser().get("/metrics", Authorization="Bearer nonsense", Accept="*/*").status == 401
    page = signed_in(console, "vera").get("/api")
    assert 'curl -H "Authorization: Bearer …" -F image=@left-cc.dcm' in page.words
    assert "python -m scp user token NAME" in page.words
    assert 'href="/users"' not in page.text


@pytest.mark.parametrize(
    ("name", "role", "password", "words"),
    [
        ("a b", "viewer", PASSWORD, "a name has"),
        ("kim", "boss", PASSWORD, "no role"),
        ("kim", "viewer", "short", "at least 12"),
        ("vera", "viewer", PASSWORD, "already"),
    ],
)
def test_a_user_that_cannot_be_added_is_a_sentence(console, monkeypatch, name, role, password, words):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
    with pytest.raises(CommandError, match=words):
        user_commands.add(console.settings, name, role=role)


def test_the_first_user_comes_before_the_first_start(tmp_path, monkeypatch):
    settings = Settings(node=Node(data_dir=tmp_path / "data"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    user_commands.add(settings, "ada", role="admin")
    new_database = Database.open(tmp_path / "data")
    with new_database.read() as tx:
        assert [user.name for user in users.every(tx)] == ["ada"]
    new_database.close()


def test_who_adds_the_first_user_hears_that_there_is_no_admin_yet(tmp_path, monkeypatch, capsys):
    settings = Settings(node=Node(data_dir=tmp_path / "data"))
    outputs = []
    for name, role in (("vera", "viewer"), ("olaf", "operator"), ("ada", "admin")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
        user_commands.add(settings, name, role=role)
        outputs.append(capsys.readouterr().out)
    assert ["from now on the console asks" in words for words in outputs] == [True, False, False]
    assert ["there is no admin yet" in words for words in outputs] == [True, True, False]


def test_the_first_user_makes_no_database_that_the_node_could_not_open(tmp_path, monkeypatch):
    settings = Settings(node=Node(data_dir=tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(CommandError, match="run this as the user that the node runs as"):
        user_commands.add(settings, "ada", role="admin")
    assert list(tmp_path.iterdir()) == []


def change(browser, name, action, **more):
    fields = {"csrf": browser.csrf("/users"), "name": name, "action": action}
    return browser.post("/users/change", fields | more)


def test_an_admin_manages_users_on_a_page_and_nobody_else_does(console):
    admin, operator = signed_in(console, "ada"), signed_in(console, "olaf")
    assert operator.get("/users").status == 403
    form = {"name": "nina", "role": "viewer", "password": PASSWORD}
    assert operator.post("/users", form | {"csrf": operator.csrf("/analyse")}).status == 403
    assert admin.post("/users", form).status == 403
    form["csrf"] = admin.csrf("/users")
    refused = admin.post("/users", form | {"password": "short"})
    assert (refused.status, "at least 12 characters" in refused.words) == (400, True)
    assert admin.post("/users", form).status == 303
    assert "There is a user &#39;nina&#39; already" in admin.post("/users", form).text
    nina = signed_in(console, "nina")
    assert change(admin, "nina", "role", role="operator").status == 303
    assert "signed in as nina, operator" in nina.get("/").words
    answer = change(admin, "nina", "token", label="grafana")
    bearer = {"Authorization": f"Bearer {re.search('srt_[A-Za-z0-9_-]+', answer.text)[0]}", "Accept": "*/*"}
    assert console.browser().get("/metrics", **bearer).status == 200
    assert "grafana, made" in admin.get("/users").words
    assert change(admin, "nina", "disable").status == 303
    assert nina.get("/").status == 303
    assert console.browser().get("/metrics", **bearer).status == 401
    wrong = console.browser()
    proof = {"csrf": wrong.csrf("/sign-in"), "name": "nina", "password": PASSWORD}
    assert wrong.post("/sign-in", proof).status == 401
    assert change(admin, "nina", "enable").status == 303
    assert console.browser().get("/metrics", **bearer).status == 200
    token = re.search('name="token" value="([0-9a-f]{64})"', admin.get("/users").text)[1]
    assert change(admin, "nina", "revoke", token=token).status == 303
    assert console.browser().get("/metrics", **bearer).status == 401
    assert change(admin, "nina", "remove").status == 303
    assert "nina" not in admin.get("/users").words


def test_an_admin_unlocks_a_user_and_gives_it_another_password(console):
    admin = signed_in(console, "ada")
    form = {"csrf": admin.csrf("/users"), "name": "lena", "role": "viewer", "password": PASSWORD}
    assert admin.post("/users", form).status == 303
    browser = console.browser()
    wrong = {"csrf": browser.csrf("/sign-in"), "name": "lena", "password": "wrong"}
    for _ in range(MOST_FAILURES):
        assert browser.post("/sign-in", wrong).status == 401
    assert "locked until" in admin.get("/users").words
    assert browser.post("/sign-in", wrong | {"password": PASSWORD}).status == 401
    assert change(admin, "lena", "unlock").status == 303
    assert change(admin, "lena", "password", password=f"{PASSWORD} two").status == 303
    assert browser.post("/sign-in", wrong | {"password": PASSWORD}).status == 401
    assert browser.post("/sign-in", wrong | {"password": f"{PASSWORD} two"}).status == 303
    change(admin, "lena", "remove")


def test_changes_of_users_are_told_to_the_audit_trail(console, monkeypatch):
    trail, admin = Trail(settings=console.settings), signed_in(console, "ada")
    before = len(audit_messages.waiting(trail))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    assert user_commands.add(console.settings, "mona", role="viewer") == 0
    assert change(admin, "mona", "role", role="operator").status == 303
    assert change(admin, "mona", "token", label="grafana").status == 200
    assert change(admin, "mona", "role", role="boss").status == 400
    assert user_commands.remove(console.settings, "mona") == 0
    alerts = audit_messages.waiting(trail)[before:]
    assert {entry.kind for entry in alerts} == {"User Security Attributes Changed"}
    account = pwd.getpwuid(os.getuid()).pw_name
    assert [(entry.words, entry.users[1]) for entry in alerts] == [
        ("user mona: added as viewer", account),
        ("user mona: role set to operator", "ada"),
        ("user mona: token made", "ada"),
        ("user mona: removed", account),
    ]


@pytest.mark.parametrize("action", ["role", "disable", "remove"])
def test_an_admin_does_not_lock_itself_out(console, action):
    answer = change(signed_in(console, "ada"), "ada", action, role="viewer")
    assert (answer.status, "Another administrator has to do that" in answer.words) == (400, True)


def test_a_user_of_a_provider_keeps_its_name_and_never_takes_anothers(database):
    def enter(name, subject, secret, role=Role.VIEWER):
        return access.enter(database, name, subject=subject, role=role, secret=secret * 32, now=NOW)

    assert enter("paul", "1", "p") == ("paul", "added as viewer")
    assert enter("paula", "1", "q", Role.ADMIN) == ("paul", "role set to admin")
    assert enter("paula", "1", "s", Role.ADMIN) == ("paul", None)
    assert access.user_of(database, secret="p" * 32, token=None, now=NOW).role == "admin"
    with pytest.raises(SignInError, match="another user 'paul'"):
        enter("paul", "2", "r")
    with pytest.raises(SignInError, match="another user 'ann'"):
        enter("ann", "3", "r")
    with database.write() as tx:
        users.set_disabled(tx, "paul", disabled=True)
    with pytest.raises(SignInError, match="disabled"):
        enter("paul", "1", "r")
    assert name_of(database, secret="p" * 32) is None


def test_an_operator_lets_all_that_was_given_up_start_over(console):
    """The overview's button: what was given up, whichever study it is of."""
    database = Database.open(console.settings.node.data_dir)
    hand = Hand(database)
    hand.receive(arrival())
    job = hand.claimed()
    failed = finding(job.sop_instance_uid, FAILED)
    with database.write() as tx:
        jobs.never(tx, job.lease, reason="ValueError", trace="trace", now=hand.now, finding=failed)
    operator = signed_in(console, "olaf")
    deadline = time.monotonic() + 30
    while "1 job has been given up" not in (words := operator.get("/").words):
        assert time.monotonic() < deadline, words
        time.sleep(0.2)  # for two seconds the page shows what it saw for somebody else
    assert "Try all again" in words
    answer = operator.post("/retry", {"csrf": operator.csrf("/analyse"), "jobs": "all"})
    assert (answer.status, answer.headers["Location"]) == (303, "/?jobs=1&deliveries=0&commitments=0")
    assert "given up" not in operator.get("/").words
    with database.read() as tx:
        states = jobs.counts(tx)[JobKind.ANALYSE]
    database.close()
    assert (states[JobState.PARKED], states[JobState.WAITING]) == (0, 1)

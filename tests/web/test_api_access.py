"""Who gets in, who may act, and what a browser is told to obey."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from disco_rq.errors import SettingsError
from disco_rq.machine.redisserver import PrivateServer
from disco_rq.settings import Settings
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.web.access import Access, cookie_name, token
from disco_rq.web.port import WebPort
from tests.redis.story import JOB, submit
from tests.web.visitor import SECRET, Answer, Visitor, served

KILL = f"/api/v1/jobs/{JOB}/kill"


@pytest.fixture(scope="module")
def guarded_root(web_redis: PrivateServer) -> Iterator[str]:
    """The address of a page that asks for a token."""
    with served(web_redis.url, SECRET) as root:
        yield root


@pytest.fixture
def stranger(guarded_root: str, connection: Connection) -> Visitor:
    submit(connection)
    return Visitor(guarded_root)


def bearer(role: Any, secret: bytes = SECRET) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(secret, role)}"}


def log_in(visitor: Visitor, given: str, wanted: str = "/") -> Answer:
    origin = {"Origin": f"http://{visitor.address}"}
    return visitor.ask("POST", "/login", origin, f"token={given}&next={wanted}".encode())


def logged_in(root: str, role: Any) -> Visitor:
    answer = log_in(Visitor(root), token(SECRET, role))
    return Visitor(root, Cookie=answer.headers["Set-Cookie"].partition(";")[0])


def status_of(connection: Connection) -> str:
    return JobStore(connection).record(JOB).status


# -- log-in


@pytest.mark.parametrize(
    "path", ["/api/v1/overview", "/api/v1/openapi.json", "/metrics", f"/api/v1/jobs/{JOB}/stream"]
)
def test_without_a_token_the_api_says_nothing(stranger: Visitor, path: str) -> None:
    answer = stranger.get(path)

    assert (answer.status, answer.code) == (401, "login")


def test_a_page_leads_to_the_log_in_and_back(stranger: Visitor) -> None:
    answer = stranger.get(f"/jobs/{JOB}")

    assert answer.status == 303
    assert answer.headers["Location"].startswith("/login?next=/jobs/job%40")


def test_health_needs_no_token(stranger: Visitor) -> None:
    assert stranger.get("/healthz").json == {"status": "ok"}


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_a_token_opens_the_api(stranger: Visitor, role: str) -> None:
    assert stranger.get("session", bearer(role)).json["role"] == role
    assert stranger.get("/metrics", bearer(role)).status == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer ", "Basic YTpi", f"Bearer {token(b'another secret', 'admin')}", "Bearer \xff"],
)
def test_a_wrong_token_does_not(stranger: Visitor, header: str) -> None:
    assert stranger.get("overview", {"Authorization": header}).status == 401


def test_the_secret_itself_is_no_token(stranger: Visitor) -> None:
    assert stranger.get("overview", {"Authorization": f"Bearer {SECRET.decode()}"}).status == 401


def test_a_log_in_gives_a_cookie_that_scripts_and_other_sites_never_see(stranger: Visitor) -> None:
    answer = log_in(stranger, token(SECRET, "admin"), "/jobs/x?tab=oob")

    assert (answer.status, answer.headers["Location"]) == (303, "/jobs/x?tab=oob")
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["Set-Cookie"].split("; "))
    assert token(SECRET, "admin") not in answer.headers["Set-Cookie"]


def test_a_wrong_token_gives_no_cookie(stranger: Visitor) -> None:
    answer = log_in(stranger, "wrong")

    assert answer.headers["Location"].startswith("/login?failed=1")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "wanted", ["//evil.example/", "https://evil.example", "/\\evil.example", "/%0d%0aX: y"]
)
def test_a_log_in_leads_to_no_other_site(stranger: Visitor, wanted: str) -> None:
    assert log_in(stranger, token(SECRET, "admin"), wanted).headers["Location"] == "/"


def with_another_signature(cookie: str) -> str:
    return (
        f"{cookie[:-5]}{'x' if cookie[-5] != 'x' else 'y'}{cookie[-4:]}"  # the last character has spare bits
    )


@pytest.mark.parametrize("forge", [with_another_signature, lambda it: it.replace("viewer", "admin")])
def test_an_altered_cookie_is_none(
    guarded_root: str, connection: Connection, forge: Callable[[str], str]
) -> None:
    cookie = logged_in(guarded_root, "viewer").headers["Cookie"]

    assert Visitor(guarded_root, Cookie=cookie).get("overview").status == 200
    assert Visitor(guarded_root, Cookie=forge(cookie)).get("overview").status == 401


def test_logging_out_takes_the_cookie_away(guarded_root: str, connection: Connection) -> None:
    visitor = logged_in(guarded_root, "viewer")

    answer = visitor.ask("POST", "/logout", {"Origin": guarded_root})

    assert answer.headers["Location"] == "/login"
    assert f'{cookie_name(visitor.address)}=""' in answer.headers["Set-Cookie"]


def test_logins_at_two_ports_of_one_host_do_not_meet(guarded_root: str, connection: Connection) -> None:
    # given a browser that is logged in to another cluster of this machine, too
    theirs = f"{cookie_name('127.0.0.1:8989')}={Access(b'their secret').cookie('admin')}"

    # when it logs in here
    mine = logged_in(guarded_root, "viewer").headers["Cookie"]

    # then both are kept, and either is read where it belongs
    assert mine.partition("=")[0] != theirs.partition("=")[0]
    both = Visitor(guarded_root, Cookie=f"{theirs}; {mine}")
    assert both.get("session").json["role"] == "viewer"
    assert Visitor(guarded_root, Cookie=theirs).get("session").code == "login"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        *(("localhost:8989", "disco_rq_8989"), ("[::1]:80", "disco_rq_80"), ("disco.example", "disco_rq")),
        *(("[::1]", "disco_rq"), ("", "disco_rq"), ("a:x; Path=/", "disco_rq")),
    ],
)
def test_the_cookies_name_has_the_port(host: str, name: str) -> None:
    assert cookie_name(host) == name


def test_an_old_key_still_opens_while_keys_are_changed() -> None:
    access = Access(b"new,old")

    assert access.role_of_token(token(b"old", "viewer")) == "viewer"
    assert access.role_of_cookie(Access(b"old").cookie("admin")) == "admin"
    assert Access(b"new").role_of_token(token(b"old", "admin")) is None
    assert Access(b"new").role_of_cookie(Access(b"new,old").cookie("viewer")) == "viewer"


def test_no_token_gets_into_the_log(web_redis: PrivateServer, capfd: pytest.CaptureFixture[str]) -> None:
    with served(web_redis.url, SECRET) as root:
        stranger = Visitor(root)
        log_in(stranger, "wrong-but-nearly-right")
        stranger.get("overview", {"Authorization": "Bearer wrong-but-nearly-right"})
        stranger.ask("POST", KILL, {**bearer("viewer"), "Origin": "http://evil.example"})

    said = capfd.readouterr().err  # of the page's process
    assert "refused" in said
    assert "wrong-but-nearly-right" not in said
    assert token(SECRET, "viewer") not in said


# -- actions


def test_an_admins_program_may_act(stranger: Visitor, connection: Connection) -> None:
    assert stranger.ask("POST", KILL, bearer("admin")).json == {"ok": True}
    assert status_of(connection) == "dead"


def test_an_admins_page_may_act(guarded_root: str, stranger: Visitor, connection: Connection) -> None:
    assert logged_in(guarded_root, "admin").act(KILL).json == {"ok": True}
    assert status_of(connection) == "dead"


def test_a_viewer_may_not_act(guarded_root: str, stranger: Visitor, connection: Connection) -> None:
    by_program = stranger.ask("POST", KILL, bearer("viewer"))
    by_page = logged_in(guarded_root, "viewer").act(KILL)

    assert (by_program.code, by_page.code) == ("read-only", "read-only")
    assert status_of(connection) == "active"


def test_an_action_without_the_pages_token_is_refused(
    guarded_root: str, stranger: Visitor, connection: Connection
) -> None:
    visitor = logged_in(guarded_root, "admin")
    others = logged_in(guarded_root, "admin").get("session").json["csrf"]

    assert visitor.ask("POST", KILL, {"Origin": guarded_root}).code == "csrf"
    assert visitor.ask("POST", KILL, {"Origin": guarded_root, "X-CSRF-Token": others}).code == "csrf"
    assert status_of(connection) == "active"


@pytest.mark.parametrize(
    "forged",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("open_to_all", [True, False])
def test_an_action_that_another_site_asks_for_is_refused(
    *, story_root: str, guarded_root: str, connection: Connection, forged: dict[str, str], open_to_all: bool
) -> None:
    submit(connection)
    visitor = Visitor(story_root) if open_to_all else logged_in(guarded_root, "admin")
    csrf = visitor.get("session").json["csrf"]

    answer = visitor.ask("POST", KILL, {"X-CSRF-Token": csrf, **forged})

    assert (answer.status, answer.code) == (403, "origin")
    assert status_of(connection) == "active"


def test_another_site_cannot_log_its_visitors_in(stranger: Visitor) -> None:
    body = f"token={token(SECRET, 'viewer')}".encode()

    assert stranger.ask("POST", "/login", {"Origin": "http://evil.example"}, body).code == "origin"


def test_without_a_secret_an_action_needs_the_pages_token_too(api: Visitor, connection: Connection) -> None:
    submit(connection)

    assert api.ask("POST", KILL).code == "csrf"
    assert api.act(KILL).json == {"ok": True}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_action_is_a_post(api: Visitor, connection: Connection, method: str) -> None:
    submit(connection)
    csrf = api.get("session").json["csrf"]

    assert api.ask(method, KILL, {"X-CSRF-Token": csrf}).status == 405
    assert status_of(connection) == "active"


# -- where it is served


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8989", "127.0.0.1.evil.example", ""])
def test_a_name_that_leads_to_this_machine_does_not_open_it(api: Visitor, host: str) -> None:
    answer = api.get("overview", {"Host": host})

    assert (answer.status, answer.code) == (403, "host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:8989", "[::1]:8989", "[::1]"])
def test_this_machines_own_names_do(api: Visitor, host: str) -> None:
    assert api.get("overview", {"Host": host}).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/overview", "/nothing", "/static/base.css", "/api/v1/jobs/x/kill"]
)
def test_every_answer_tells_the_browser_what_to_obey(api: Visitor, path: str) -> None:
    headers = api.get(path).headers

    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == ("no-cache" if path.startswith("/static/") else "no-store")


def test_without_a_secret_it_listens_on_loopback_only() -> None:
    with pytest.raises(SettingsError, match=r"DISCO_RQ_HTTP='0\.0\.0\.0:0': without DISCO_RQ_SECRET"):
        WebPort(Settings(http="0.0.0.0:0"))

    port = WebPort(Settings(http="0.0.0.0:0", secret=SECRET))
    assert port.url.startswith(f"http://{socket.gethostname()}:")
    port.close()


@pytest.mark.parametrize("wrong", ["localhost", "localhost:x", "127.0.0.1:99999", "http://localhost:1"])
def test_what_is_no_address_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(SettingsError, match="DISCO_RQ_HTTP="):
        WebPort(Settings(http=wrong))


def test_a_port_that_is_taken_is_told_and_taken_over_when_it_is_free() -> None:
    first = WebPort(Settings(http="127.0.0.1:0"))
    second = WebPort(Settings(http=first.address))

    assert second.url == ""
    assert f"{first.address} is taken" in second.problem
    assert second.address == first.address  # where the page is, for whoever asks
    assert not second.listen()
    first.close()
    assert second.listen()
    assert (second.url, second.problem) == (f"http://{second.address}", "")
    second.close()


@pytest.mark.parametrize("off", ["", "off"])
def test_it_can_be_switched_off(off: str) -> None:
    port = WebPort(Settings.from_env({"DISCO_RQ_HTTP": off}))

    assert (port.url, port.address, port.listener) == ("", "", None)


@pytest.mark.parametrize(
    "host", ["localhost/healthz?", "localhost/static/?", "localhost/login#", "x/healthz"]
)
def test_a_host_header_with_a_path_opens_nothing(stranger: Visitor, host: str) -> None:
    assert stranger.get("overview", {"Host": host}).status == 401
    assert stranger.ask("POST", KILL, {"Host": host, "Origin": f"http://{host}"}).status in (401, 403)

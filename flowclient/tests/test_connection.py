"""Tokens, certificates, retries, and what a connection shows of itself."""

from __future__ import annotations

import contextlib
import datetime
import re
import socket
import ssl
import threading
import warnings

import numpy
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flowclient_stub import Answer, StubServer, make_token

import flowclient
from flowclient.exchange import Pause, Send
from flowclient.transport import TransportError


def secure(token, **options):
    return flowclient.connect(url="https://flowapi.example.org", token=token, **options)


def test_no_request_and_no_token_in_what_is_shown(token):
    connection = secure(token, api_version=3)
    assert repr(connection) == "ada@https://flowapi.example.org v3"
    shown = repr(connection) + connection._repr_html_()
    assert "ada" in connection._repr_html_()
    assert not any(part in shown for part in token.split("."))


def test_an_insecure_address_warns_at_the_callers_line(token):
    for connect in (flowclient.connect, flowclient.Connection, flowclient.ASyncConnection):
        with pytest.warns(UserWarning, match=r"^Communications with this server are NOT SECURE\.$") as caught:
            connect(url="http://flowapi.example.org/", token=token)
        assert [warning.filename for warning in caught] == [__file__]


def test_addresses(token):
    assert secure(token).url == "https://flowapi.example.org"
    assert flowclient.connect(url="HTTPS://a.example/", token=token).url == "HTTPS://a.example"


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"sub": None}, "Token does not contain user identity."),
        ({"sub": ""}, "Token does not contain user identity."),
    ],
)
def test_a_token_without_user(claims, text):
    with pytest.raises(flowclient.FlowclientConnectionError) as raised:
        secure(make_token(**claims))
    assert str(raised.value) == text


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-60].replace(".", ""), lambda t: t.split(".")[1], lambda t: ""]
)
def test_a_token_that_is_none(token, damage):
    garbage = damage(token)
    with pytest.raises(flowclient.FlowclientConnectionError, match=r"^Unable to decode token") as raised:
        secure(garbage)
    shown = f"{raised.value} {raised.value.__cause__} {raised.value.__context__!r}"
    assert garbage == "" or garbage[:9] not in shown


def test_a_refused_token_leaves_the_old_one(token):
    connection = secure(token)
    with pytest.raises(flowclient.FlowclientConnectionError):
        connection.update_token("garbage")
    assert (connection.token, connection.user) == (token, "ada")


def test_an_expired_token_warns_and_can_be_replaced(shell, server):
    expired = make_token(lifetime=-60)
    with pytest.warns(UserWarning, match="update_token"):
        connection = shell.connect(server.url, expired)
    server.script("GET", "x", Answer(401, {"msg": "Token has expired"}), Answer(200, {}))
    with pytest.raises(flowclient.AuthenticationError, match=r"^Token has expired\n.*update_token"):
        shell.finish(connection.get_url(route="x"))
    fresh = make_token(sub="grace")
    connection.update_token(fresh + "\n")
    shell.finish(connection.get_url(route="x"))
    assert connection.user == "grace"
    assert [request.authorization for request in server.requests] == [f"Bearer {expired}", f"Bearer {fresh}"]


def test_a_token_replaced_while_polling_is_used(token):
    connection = secure(token)
    fresh = make_token(sub="grace")
    operation = connection.get("poll/abc")
    step = next(operation)
    assert isinstance(step, Send)
    connection.update_token(fresh)
    assert step.headers() == {"Authorization": f"Bearer {fresh}"}
    assert fresh not in repr(step)
    operation.close()


def test_expiry_and_permissions(token):
    connection = secure(token)
    left = connection.token_expires - datetime.datetime.now(tz=datetime.timezone.utc)
    assert datetime.timedelta(minutes=59) < left <= datetime.timedelta(hours=1)
    assert connection.permissions["reader"] == ["admin0:flows:flows", "get_result"]
    assert secure(make_token(exp=None)).token_expires is None
    assert secure(make_token(user_claims={"a": ["run"]})).permissions == {"a": ["run"]}
    assert secure(make_token(user_claims="!")).permissions == {}


def test_the_role_map_of_the_contract():
    packed = (
        "H4sIAJDcA2sC/1RMywrCMBD8lbJnb73lV6QsY7LW4Jpgs1GK9N9Nigi9zDDPDyE8YhoZCboWIzecf5a7an4XFxB1Zc0eFnOi03CMd+zuLMaL"
        "lKrW1VITTY3bCprnKvtx7+DVDnFR4QCT//QJ9jfx90LT9gUAAP//AwDSzPiklQAAAA==\n"
    )
    assert secure(make_token(user_claims=packed)).permissions == {
        "admin3_analyst": ["admin3:flows:daily_location", "admin3:flows:flows", "get_result", "run"],
        "catalogue": ["get_available_dates", "get_qa_checks"],
    }


class Scripted:
    """Drive an operation by a script of replies and faults; keep its pauses."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.pauses = []

    def drive(self, operation):
        try:
            step = next(operation)
            while True:
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    step = operation.send(None)
                    continue
                outcome = self.outcomes.pop(0)
                step = operation.throw(outcome) if isinstance(outcome, Exception) else operation.send(outcome)
        except StopIteration as stop:
            return stop.value


class Plain:
    def __init__(self, status_code, headers=None):
        self.status_code = status_code
        self.headers = headers or {}
        self.text = ""

    def json(self):
        return {}


LOST = TransportError("gone", transient=True)


def test_a_get_is_repeated_with_growing_pauses(token):
    script = Scripted(LOST, Plain(503), Plain(429, {"Retry-After": "7"}), Plain(200))
    assert script.drive(secure(token).get("x")).status_code == 200
    assert script.pauses == [0.5, 1.0, 7.0]


@pytest.mark.parametrize(
    ("retries", "outcomes"),
    [
        (3, [LOST] * 4),
        (0, [LOST]),
        (3, [TransportError("bad certificate", transient=False)]),
        (3, [Plain(500)]),
    ],
)
def test_a_get_is_given_up(token, retries, outcomes):
    script = Scripted(*outcomes)
    with pytest.raises(flowclient.FlowclientConnectionError):
        script.drive(secure(token, retries=retries).get("x"))
    assert script.outcomes == []


def test_a_post_of_the_caller_is_never_repeated(token):
    script = Scripted(LOST, Plain(202))
    with pytest.raises(flowclient.FlowclientConnectionError, match="gone"):
        script.drive(secure(token).post("x", {}))
    assert script.pauses == []


def test_a_query_is_run_again_after_a_lost_connection_and_where_the_server_is_full(token):
    script = Scripted(LOST, Plain(503), Plain(429, {"Retry-After": "7"}), Plain(202))
    assert script.drive(secure(token).post("run", {}, idempotent=True)).status_code == 202
    assert script.pauses == [0.5, 1.0, 7.0]


def test_work_that_may_be_under_way_is_not_asked_for_twice(token):
    script = Scripted(Plain(504), Plain(202))
    with pytest.raises(flowclient.FlowclientConnectionError):
        script.drive(secure(token).post("run", {}, idempotent=True))
    assert script.pauses == []


def test_a_fault_that_quotes_the_token_is_cleaned(token):
    script = Scripted(TransportError(f"bad header Bearer {token}", transient=False))
    with pytest.raises(flowclient.FlowclientConnectionError, match="bad header") as raised:
        script.drive(secure(token).get("x"))
    assert token not in str(raised.value)


def test_a_silent_server_is_not_waited_for(shell, token):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        connection = shell.connect(f"http://127.0.0.1:{silent.getsockname()[1]}", token, timeout=(5, 0.05))
        with pytest.raises(flowclient.FlowclientConnectionError, match=r"^Unable to connect"):
            shell.finish(connection.get_url(route="x"))


def test_a_netrc_entry_does_not_replace_the_token(shell, server, token, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.script("GET", "x", Answer(200, {}))
    shell.finish(shell.connect(server.url, token).get_url(route="x"))
    assert server.requests[0].authorization == f"Bearer {token}"


def test_a_session_belongs_to_the_server(shell, server, token, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.script("GET", "x", Answer(200, {}))
    connection = shell.connect(server.url, token)
    session, fresh = connection.session, make_token(sub="grace")
    session.get("x")
    connection.update_token(fresh)
    session.get(f"{server.url}/api/0/x")
    assert session.headers["Authorization"] == f"Bearer {fresh}"
    assert [request.authorization for request in server.requests] == [f"Bearer {token}", f"Bearer {fresh}"]
    assert server.asked("GET", "x") == 2


def test_a_session_takes_the_token_nowhere_else(shell, server, token):
    other = StubServer()
    try:
        other.script("GET", "x", Answer(200, {}))
        shell.connect(server.url, token).session.get(f"{other.url}/api/0/x")
        assert [request.authorization for request in other.requests] == [None]
    finally:
        other.stop()


def test_text_without_a_charset_is_utf_8(shell, server, token):
    server.script("GET", "x", Answer(200, "Île", {"Content-Type": "text/plain"}))
    assert shell.finish(shell.connect(server.url, token).get_url(route="x")).text == "Île"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(float("nan"), "nan"), (float("-inf"), "-inf"), (1j, "1j"), (numpy.float64("nan"), "nan")],
)
def test_what_is_no_json_is_named_and_not_sent(shell, server, token, value, shown):
    connection = shell.connect(server.url, token)
    spec = {"query_kind": "a", "locations": [{"date": "x"}, {"weight": value}]}
    with pytest.raises(ValueError, match=re.escape(f"locations.1.weight = {shown}: must be")) as raised:
        shell.call("run_query", connection=connection, query_spec=spec)
    assert "date" not in str(raised.value)
    assert server.requests == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    import ipaddress

    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


@pytest.fixture
def secure_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    stub = StubServer(context)
    stub.script("GET", "x", Answer(200, {}))
    yield stub
    stub.stop()


class Tunnels:
    """A proxy that does nothing but connect."""

    def __init__(self) -> None:
        self.opened = 0
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._sockets[0].accept()
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    asked += near.recv(4096)
                host, _, port = asked.split()[1].decode().partition(":")
                far = socket.create_connection((host, int(port)))
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                self.opened += 1
                self._sockets += near, far
                for ends in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._copy, args=ends))
                    self._threads[-1].start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()


@pytest.fixture
def tunnels():
    with contextlib.closing(Tunnels()) as each:
        yield each


@pytest.mark.parametrize("check", [True, None, ""])
def test_a_certificate_nobody_vouches_for_is_refused(shell, secure_server, token, check):
    connection = shell.connect(secure_server.url, token, ssl_certificate=check)
    with pytest.raises(flowclient.FlowclientConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        shell.finish(connection.get_url(route="x"))
    assert secure_server.requests == []


@pytest.mark.parametrize("check", [0, 0.0, b"", [], {}])
def test_nothing_but_false_switches_checking_off(shell, secure_server, token, check):
    with pytest.raises(TypeError, match=f"^ssl_certificate = {re.escape(repr(check))}: must be"):
        shell.connect(secure_server.url, token, ssl_certificate=check)


def test_a_password_is_not_sent_to_a_server_nobody_vouches_for(secure_server):
    secure_server.script("POST", "v1/session", Answer(200, {}))
    with pytest.raises(flowclient.FlowclientConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        flowclient.get_token(
            flowauth_url=secure_server.url,
            username="ada",
            password="secret words",
            server="s",
            roles=[],
            nickname="n",
            ssl_certificate="",
        )
    assert secure_server.requests == []


def test_a_path_without_certificates_is_named(shell, tmp_path, token):
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        with pytest.raises(OSError, match=re.escape(f"ssl_certificate = {str(path)!r}: must be")):
            shell.connect("https://flowapi.example.org", token, ssl_certificate=str(path))


@pytest.mark.parametrize(("variable", "heard"), [("SSL_CERT_FILE", True), ("REQUESTS_CA_BUNDLE", False)])
def test_the_variables_that_name_the_roots(
    shell, secure_server, token, certificate, monkeypatch, variable, heard
):
    monkeypatch.setenv(variable, str(certificate / "certificate.pem"))
    connection = shell.connect(secure_server.url, token)
    expected = contextlib.nullcontext() if heard else pytest.raises(flowclient.FlowclientConnectionError)
    with expected:
        shell.finish(connection.get_url(route="x"))
    assert len(secure_server.requests) == heard


def test_a_certificate_may_be_named(shell, secure_server, token, certificate):
    connection = shell.connect(secure_server.url, token, ssl_certificate=str(certificate / "certificate.pem"))
    assert shell.finish(connection.get_url(route="x")).status_code == 200


def test_a_context_may_be_given(shell, secure_server, token, certificate):
    context = ssl.create_default_context(cafile=certificate / "certificate.pem")
    connection = shell.connect(secure_server.url, token, ssl_certificate=context)
    assert shell.finish(connection.get_url(route="x")).status_code == 200
    strange = shell.connect(secure_server.url, token, ssl_certificate=ssl.create_default_context())
    with pytest.raises(flowclient.FlowclientConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        shell.finish(strange.get_url(route="x"))


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_context_is_not_widened(shell, secure_server, token, certificate, monkeypatch, variable):
    monkeypatch.setenv(variable, str(certificate / "certificate.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    connection = shell.connect(secure_server.url, token, ssl_certificate=context)
    with pytest.raises(flowclient.FlowclientConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        shell.finish(connection.get_url(route="x"))
    assert context.get_ca_certs() == []


def test_a_context_decides_whether_names_are_compared(shell, secure_server, token, certificate):
    """The certificate is one of 127.0.0.1, not of localhost."""
    url = secure_server.url.replace("127.0.0.1", "localhost")
    for compared in (True, False):
        context = ssl.create_default_context(cafile=certificate / "certificate.pem")
        context.check_hostname = compared
        connection = shell.connect(url, token, ssl_certificate=context)
        expected = (
            pytest.raises(flowclient.FlowclientConnectionError, match="Hostname mismatch")
            if compared
            else contextlib.nullcontext()
        )
        with expected:
            shell.finish(connection.get_url(route="x"))


def test_a_context_is_used_through_a_proxy_too(
    shell, secure_server, token, certificate, monkeypatch, tunnels
):
    monkeypatch.setenv("HTTPS_PROXY", tunnels.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    context = ssl.create_default_context(cafile=certificate / "certificate.pem")
    connection = shell.connect(secure_server.url, token, ssl_certificate=context)
    assert shell.finish(connection.get_url(route="x")).status_code == 200
    assert tunnels.opened == 1


def test_checking_may_be_switched_off_with_a_warning(shell, secure_server, token, certificate, monkeypatch):
    # requests lets this variable win over a session's own setting.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ssl.get_default_verify_paths().openssl_cafile)
    with pytest.warns(UserWarning, match="switched off"):
        connection = shell.connect(secure_server.url, token, ssl_certificate=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # urllib3 warns at every request.
        assert shell.finish(connection.get_url(route="x")).status_code == 200


def test_a_connection_is_a_context(server, token):
    server.script("GET", "x", Answer(200, {}))
    with (
        pytest.warns(UserWarning, match="NOT SECURE"),
        flowclient.connect(url=server.url, token=token) as connection,
    ):
        assert connection.get_url(route="x").status_code == 200

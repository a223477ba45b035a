"""The ways to reach Redis, and several accounts on one."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailer.errors import QueueUnavailable, SettingsError
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from ops.soak.watched import NAME, Sentinel
from tests.support.post import PATIENT, Post, environment, refusal_to_start


def settings_for(folder: Path, url: str, **more: Any) -> Settings:
    chosen = {"rate_per_second": 1000, "quota_per_day": -1, "data_dir": folder, **PATIENT, **more}
    return load(redis_url=url, **chosen)


@pytest.fixture(autouse=True)
def empty(simulator: Simulator) -> None:
    simulator.reset()


def mail_arrives(settings: Settings, simulator: Simulator, folder: Path, **env: Any) -> None:
    post = Post(settings, simulator, folder)
    try:
        post.worker(**env)
        for i in range(5):
            post.send(f"{i}@example.com")
        until(lambda: len(post.arrivals()) == 5 and post.idle(), "the mail arrives")
    finally:
        post.close()


def test_over_a_unix_socket(simulator: Simulator, tmp_path: Path) -> None:
    with Valkey(tmp_path, "--unixsocket", str(tmp_path / "s")):
        mail_arrives(settings_for(tmp_path, f"unix://{tmp_path}/s"), simulator, tmp_path)


def test_as_an_acl_user_who_may_touch_the_prefix_only(server: Valkey, simulator: Simulator, tmp_path: Path) -> None:
    with server.client() as admin:
        admin.execute_command(
            *("ACL", "SETUSER", "mailer", "on", ">p@ss:word", "~mail:*", "&*"),
            *("+@all", "-@dangerous", "-@admin", "+info"),
        )
        url = f"redis://mailer:p%40ss%3Aword@127.0.0.1:{server.port}/0"
        settings = settings_for(tmp_path, url, key_prefix="mail:", account="eu-west-1")
        mail_arrives(settings, simulator, tmp_path)
        keys = [key.decode() for key in admin.scan_iter()]
        assert keys
        assert all(key.startswith(("mail:{eu-west-1}:", "mail:{eu-west-1}@")) for key in keys)


def test_through_sentinel(server: Valkey, simulator: Simulator, tmp_path: Path) -> None:
    with Sentinel(tmp_path / "sentinel", server, down_after_ms=1000, quorum=1) as sentinel:

        def knows_the_master() -> bool:
            try:
                return bool(sentinel.ask("GET-MASTER-ADDR-BY-NAME", NAME))
            except redis.exceptions.ConnectionError:
                return False

        until(knows_the_master, "the sentinel is up")
        settings = settings_for(tmp_path, f"sentinel://127.0.0.1:{sentinel.port}/0", redis_sentinel_master=NAME)
        mail_arrives(settings, simulator, tmp_path)


def test_a_redis_that_refuses_every_write_is_tried_at_intervals_and_told_of_in_a_line(
    server: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    with closing(Post(settings_for(tmp_path, server.url), simulator, tmp_path)) as post:
        worker = post.worker()
        post.client.replicaof("127.0.0.1", "1")
        until(lambda: worker.text.count("Trying to re-establish the connection") >= 6, "the worker tries again")
        post.client.replicaof("no", "one")
        post.send("a@example.com")
        until(lambda: post.arrivals() == ["a@example.com"], "mail goes out again")
        assert worker.text.count("No mail goes out here, as Redis refuses this worker") == 1
        assert "It is a replica: have MAILER_REDIS_URL name the master" in worker.text
        until(lambda: worker.text.count("Redis answers again: mail goes out as before") == 1, "that it is over is told")
        for unwanted in ("Traceback", "CRITICAL", "DeprecationWarning"):
            assert unwanted not in worker.text


def test_a_right_that_a_worker_lacks_for_a_while_costs_no_mail_and_no_second_one(
    server: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    its_own = settings_for(tmp_path, server.url.replace("redis://", "redis://worker:x@"), rate_per_second=100)
    with (
        server.client() as admin,
        closing(Post(its_own, simulator, tmp_path)) as post,
        closing(Post(settings_for(tmp_path, server.url), simulator, tmp_path)) as producer,
    ):
        rights = ("on", ">x", "~*", "&*", "+@all", "-@dangerous", "-@admin", "+info")
        admin.execute_command("ACL", "SETUSER", "worker", *rights)
        post.worker()
        wanted = [f"{i}@example.com" for i in range(300)]
        for to in wanted[:200]:
            producer.send(to)
        until(lambda: len(post.arrivals()) >= 20, "mail goes out")
        admin.execute_command("ACL", "SETUSER", "worker", "-hset")
        until(lambda: _refused(admin), "Redis refuses the worker")
        for to in wanted[200:]:
            producer.send(to)
        time.sleep(2)
        assert len(post.arrivals()) < len(wanted)
        admin.execute_command("ACL", "SETUSER", "worker", "+hset")
        until(lambda: len(post.arrivals()) >= len(wanted) and producer.idle(), "all mail goes out")
        assert sorted(post.arrivals()) == sorted(wanted)
        assert (post.aside("dead"), post.aside("held")) == ({}, {})


def _refused(admin: redis.Redis) -> bool:
    """Whether the right was missed by then."""
    return any(entry["object"] == "hset" for entry in admin.acl_log())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with ``cert.pem`` for 127.0.0.1, its own authority, and ``key.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "valkey")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path


class TlsFront:
    """A server with TLS in front of one without, as the embedded Valkey is built."""

    def __init__(self, folder: Path, port: int) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._behind = port
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context))
        self.port: int = server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def test_over_tls_with_the_certificate_checked(
    valkey: Valkey, simulator: Simulator, certificate: Path, tmp_path: Path
) -> None:
    front = TlsFront(certificate, valkey.port)
    try:
        url = f"rediss://127.0.0.1:{front.port}/0"
        trusted = settings_for(tmp_path, f"{url}?ssl_ca_certs={certificate}/cert.pem", account="tls")
        mail_arrives(trusted, simulator, tmp_path)
        untrusted = Post(settings_for(tmp_path, url, account="tls-untrusted"), simulator, tmp_path)
        try:
            with pytest.raises(QueueUnavailable, match=r"(?i)certificate"):
                untrusted.send("a@example.com")
            worker = untrusted.worker(wait=False)
            until(lambda: "CERTIFICATE_VERIFY_FAILED" in worker.text, "the worker refuses the certificate")
        finally:
            untrusted.close()
    finally:
        front.stop()


def test_two_accounts_on_one_redis_have_limits_of_their_own(
    valkey: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    slow = Post(settings_for(tmp_path, valkey.url, account="slow", rate_per_second=0.05, burst=1), simulator, tmp_path)
    (tmp_path / "fast").mkdir()
    fast = Post(settings_for(tmp_path, valkey.url, account="fast"), simulator, tmp_path / "fast")
    try:
        slow.worker(wait=False)
        fast.worker()
        for i in range(20):
            slow.send(f"slow-{i}@example.com")
            fast.send(f"fast-{i}@example.com")
        until(fast.idle, "the fast account is through")
        until(lambda: [to for to in slow.arrivals() if to.startswith("slow")], "the slow one sends too")
        assert len([to for to in fast.arrivals() if to.startswith("fast")]) == 20
        assert len([to for to in slow.arrivals() if to.startswith("slow")]) < 10
    finally:
        slow.close()
        fast.close()


def test_limits_are_read_from_ses_and_a_change_holds_without_a_restart(
    valkey: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.set_account(rate=3, bucket=3, quota=500)
    settings = load(redis_url=valkey.url, account="from-ses", data_dir=tmp_path, **PATIENT)
    post = Post(settings, simulator, tmp_path)
    began = time.monotonic()
    try:
        post.worker()
        post.worker()
        until(lambda: post.client.hget(post.keys.account, "rate") == b"3", "the rate is read")
        assert post.client.hget(post.keys.account, "quota") == b"500"
        # One of them asks, and again where it took longer than that is waited for.
        assert simulator.stats()["requests"]["GetAccount"] <= 1 + (time.monotonic() - began) / 10
        simulator.set_account(rate=1000, bucket=1000)
        post.client.hset(post.keys.account, "limits_at", 0)
        until(lambda: post.client.hget(post.keys.account, "rate") == b"1000", "the new rate is read")
        for i in range(400):
            post.send(f"{i}@example.com")
        # The old one would take two minutes.
        until(lambda: len(post.arrivals()) == 400, "mail goes at the new rate")
    finally:
        post.close()


def test_a_worker_that_is_not_told_where_redis_is_says_what_to_set(tmp_path: Path) -> None:
    env = {name: value for name, value in environment(load(data_dir=tmp_path)).items() if name != "MAILER_REDIS_URL"}
    assert "MAILER_REDIS_URL is not set" in refusal_to_start(env)


def test_a_url_of_another_kind_is_refused_by_name() -> None:
    from mailer.queue.connection import redis_url  # noqa: PLC0415

    with pytest.raises(SettingsError, match="MAILER_REDIS_URL: amqp:// is not one of"):
        redis_url(load(redis_url="amqp://localhost"))


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("redis://:s3cret/word@redis.internal:6379/0", "percent-encode"),
        ("sentinel://a:26379;sentinel://:s3cret/word@b:26379/0", "percent-encode"),
        ("redis://redis.internal:6379/s3cret", "a number"),
        ("redis://redis.internal:6379/0?password=s3cret", "before the host"),
        ("redis://redis.internal:6379?db=3", "after the last /"),
        ("redis://:s3cret?word@redis.internal:6379/0", "%3F"),
        ("unix:///run/valkey.sock?db=3", "it is 0"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_any_of_it(url: str, remedy: str) -> None:
    from mailer.queue.connection import redis_url  # noqa: PLC0415

    with pytest.raises(SettingsError, match=r"^MAILER_REDIS_URL: ") as refusal:
        redis_url(load(redis_url=url))
    assert remedy in str(refusal.value)
    assert "s3cret" not in str(refusal.value)

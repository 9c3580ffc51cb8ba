"""Where images come from, and what may not happen on the way. Servers are real, on this machine."""

import base64
import gzip
import hashlib
import ipaddress
import shutil
import ssl
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam_backend.errors import ImageFetchError, LabelStudioError
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.images.addresses import IPAddress, is_public, resolve
from sam_backend.labelstudio.images.fetching import FetchLimits
from sam_backend.labelstudio.images.redaction import readable
from sam_backend.labelstudio.images.resolver import (
    ImageResolver,
    absolute_address,
    image_resolver,
    read_data_uri,
)
from sam_backend.settings import Settings
from tests.labelstudio.web import Reply, Web, redirect, send, serve

TOKEN = "0123456789abcdef" * 2 + "01234567"
FILE = b"the bytes of an image"


@pytest.fixture
def studio() -> Iterator[Web]:
    with serve() as web:
        web.replies["/data/upload/1/a.png"] = send(200, FILE)
        yield web


@pytest.fixture
def elsewhere() -> Iterator[Web]:
    with serve() as web:
        web.replies["/a.png"] = send(200, FILE)
        yield web


def host(web: Web, token: str = TOKEN) -> LabelStudioHost:
    return LabelStudioHost(web.url, token)


# ---------------------------------------------------------------- which address a value means

HOST = LabelStudioHost("http://ls:8080", TOKEN)
NESTED = LabelStudioHost("https://example.org/label-studio/", TOKEN)
ENCODED = base64.urlsafe_b64encode(b"s3://bucket/a b?.jpg").decode()


@pytest.mark.parametrize(
    ("value", "where", "address"),
    [
        ("/data/upload/1/a.png", HOST, "http://ls:8080/data/upload/1/a.png"),
        ("data/upload/1/a.png", HOST, "http://ls:8080/data/upload/1/a.png"),
        ("/data/local-files/?d=x/a.png", HOST, "http://ls:8080/data/local-files/?d=x/a.png"),
        ("/data/upload/1/a.png", NESTED, "https://example.org/label-studio/data/upload/1/a.png"),
        ("/label-studio/data/a.png", NESTED, "https://example.org/label-studio/data/a.png"),
        ("/label-studio2/a.png", NESTED, "https://example.org/label-studio/label-studio2/a.png"),
        ("https://other/a.png", HOST, "https://other/a.png"),
        ("HTTP://other/a.png", HOST, "HTTP://other/a.png"),
        ("//other/a.png", HOST, "http://other/a.png"),
        ("s3://bucket/a b?.jpg", HOST, f"http://ls:8080/tasks/7/presign/?fileuri={ENCODED}"),
    ],
)
def test_value_to_address(value: str, where: LabelStudioHost, address: str) -> None:
    assert absolute_address(value, where, task_id=7) == address


@pytest.mark.parametrize("scheme", ["gs", "azure-blob", "S3"])
def test_clouds_are_signed_by_label_studio(scheme: str) -> None:
    address = absolute_address(f"{scheme}://bucket/k.png", HOST, task_id=7)
    assert address.startswith("http://ls:8080/tasks/7/presign/?fileuri=")
    with pytest.raises(ImageFetchError, match="for a task"):
        absolute_address(f"{scheme}://bucket/k.png", HOST, task_id=None)


@pytest.mark.parametrize(
    "value", ["", "file:///etc/passwd", "ftp://h/a.png", "javascript:1", "a.png", "gopher://h/"]
)
def test_other_values_are_refused(value: str) -> None:
    with pytest.raises(ImageFetchError):
        ImageResolver().fetch(value, HOST, task_id=7)


def test_public_address_of_label_studio_is_reached_by_the_inner_one(studio: Web) -> None:
    inner = LabelStudioHost(studio.url, TOKEN, public_url="https://labels.example.org/ls")
    value = "https://labels.example.org/ls/data/upload/1/a.png?x=1"
    assert ImageResolver().fetch(value, inner).data == FILE
    assert studio.requests[0].path == "/data/upload/1/a.png?x=1"
    assert studio.authorizations() == [f"Token {TOKEN}"]


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://h", "http://", "", "http://u:p@h", "//h"])
def test_label_studio_needs_a_web_address(url: str) -> None:
    with pytest.raises(LabelStudioError) as caught:
        LabelStudioHost(url, TOKEN)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("token", ["a\nb", "a b", "tokén", "a\x00"])
def test_a_token_that_no_header_can_hold_is_refused_unquoted(token: str) -> None:
    with pytest.raises(LabelStudioError) as caught:
        LabelStudioHost("http://ls", token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://ls", "HTTP://LS:80/", True),
        ("https://ls:443", "https://ls./sub", True),
        ("http://ls:8080", "http://ls:8081", False),
        ("http://ls", "https://ls", False),
        ("http://ls", "http://ls.example", False),
        ("http://[::1]:80", "http://[::1]", True),
    ],
)
def test_origin(one: str, other: str, same: bool) -> None:
    assert (LabelStudioHost(one).origin == LabelStudioHost(other).origin) is same


def test_token_is_not_shown() -> None:
    assert TOKEN not in repr(HOST)
    assert TOKEN not in HOST.identity


# ---------------------------------------------------------------- fetching


def test_upload_is_fetched_with_our_token(studio: Web) -> None:
    image = ImageResolver().fetch("/data/upload/1/a.png", host(studio))
    assert image.data == FILE
    assert image.digest == hashlib.sha256(FILE).hexdigest()
    assert studio.authorizations() == [f"Token {TOKEN}"]
    assert studio.requests[0].headers["Host"] == f"localhost:{studio.port}"


def test_absolute_address_of_label_studio_gets_the_token_too(studio: Web) -> None:
    ImageResolver().fetch(f"{studio.url}/data/upload/1/a.png", host(studio))
    assert studio.authorizations() == [f"Token {TOKEN}"]


def test_two_servers_with_the_same_task_are_never_mixed() -> None:
    resolver = ImageResolver()
    with serve() as one, serve() as other:
        one.replies["/data/upload/1/a.png"] = send(200, b"one")
        other.replies["/data/upload/1/a.png"] = send(200, b"other")
        for _ in range(2):
            assert resolver.fetch("/data/upload/1/a.png", host(one), 1).data == b"one"
            assert resolver.fetch("/data/upload/1/a.png", host(other), 1).data == b"other"


def test_cloud_file_is_fetched_where_label_studio_redirects(studio: Web, elsewhere: Web) -> None:
    studio.replies["/tasks/7/presign/"] = redirect(f"{elsewhere.url}/a.png?X-Sig=s", 303)
    resolver = ImageResolver(allow_private=True)
    assert resolver.fetch("s3://bucket/k.png", host(studio), 7).data == FILE
    query = studio.requests[0].path.partition("fileuri=")[2]
    assert base64.urlsafe_b64decode(query) == b"s3://bucket/k.png"
    assert studio.authorizations() == [f"Token {TOKEN}"]
    assert elsewhere.authorizations() == [None]


def test_cloud_file_that_cannot_be_signed(studio: Web) -> None:
    with pytest.raises(ImageFetchError, match=r"s3://bucket/k\.png.*404: .*no storage"):
        ImageResolver().fetch("s3://bucket/k.png?SECRET", host(studio), 7)


def test_other_origins_never_see_the_token(studio: Web, elsewhere: Web) -> None:
    """The same machine at another port is another origin."""
    resolver = ImageResolver(allow_private=True)
    resolver.fetch(f"{elsewhere.url}/a.png", host(studio))
    studio.replies["/out"] = redirect(f"{elsewhere.url}/a.png")
    resolver.fetch("/out", host(studio))
    # By its number, not its name: another origin again, though it is Label Studio's own machine.
    studio.replies["/number"] = redirect(f"http://127.0.0.1:{studio.port}/data/upload/1/a.png")
    resolver.fetch("/number", host(studio))
    assert elsewhere.authorizations() == [None, None]
    assert studio.authorizations() == [f"Token {TOKEN}", f"Token {TOKEN}", None]


def test_a_redirect_back_to_label_studio_gets_no_token(studio: Web, elsewhere: Web) -> None:
    """Otherwise any web server could point our token at an address of its choice."""
    elsewhere.replies["/back"] = redirect(f"{studio.url}/data/upload/1/a.png")
    ImageResolver(allow_private=True).fetch(f"{elsewhere.url}/back", host(studio))
    assert studio.authorizations() == [None]


def test_redirects_are_followed_five_times(studio: Web) -> None:
    for number in range(6):
        studio.replies[f"/{number}"] = redirect(f"/{number + 1}" if number < 5 else "/0")
    studio.replies["/5"] = send(200, FILE)
    assert ImageResolver().fetch("/0", host(studio)).data == FILE
    studio.replies["/5"] = redirect("/0")
    with pytest.raises(ImageFetchError, match="more than 5"):
        ImageResolver().fetch("/0", host(studio))


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://h/a", "", "http://", "http://user:pw@h/", "data:,x"]
)
def test_redirects_lead_to_web_addresses_only(studio: Web, location: str) -> None:
    studio.replies["/out"] = redirect(location)
    with pytest.raises(ImageFetchError) as caught:
        ImageResolver().fetch("/out", host(studio))
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 429, 500, 503])
def test_other_answers_are_errors(studio: Web, status: int) -> None:
    studio.replies["/a"] = send(status)
    with pytest.raises(ImageFetchError, match=str(status)):
        ImageResolver().fetch("/a", host(studio))


def test_nobody_listens() -> None:
    with serve() as web:
        gone = host(web)
    with pytest.raises(ImageFetchError, match="cannot be fetched"):
        ImageResolver().fetch("/a", gone)


def test_messages_hold_no_secrets(studio: Web, elsewhere: Web) -> None:
    studio.replies["/out"] = redirect(f"{elsewhere.url}/gone.png?X-Amz-Signature=SECRET")
    for value in ["/out?token=SECRET", "http://u:SECRET@h/a.png", "/gone?SECRET#SECRET"]:
        with pytest.raises(ImageFetchError) as caught:
            ImageResolver(allow_private=True).fetch(value, host(studio))
        assert "SECRET" not in str(caught.value)
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/data/local-files/?d=x/a.png&t=1", "/data/local-files/?d=x/a.png"),
        ("https://u:p@h:1/a.png?sig=1#f", "https://h:1/a.png?…"),
        ("data:image/png;base64,AAAA", "data:image/png,… (26 characters)"),
        ("http://[::1", "an address that cannot be parsed"),
        ("/a\nb", "/ab"),
    ],
)
def test_readable(address: str, shown: str) -> None:
    assert readable(address) == shown


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("10.0.0.1", False),
        ("172.31.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("198.18.0.1", False),
        ("240.0.0.1", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
    ],
)
def test_is_public(address: str, expected: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is expected


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::1]"],
)
def test_private_addresses_are_refused_in_every_spelling(elsewhere: Web, name: str) -> None:
    with pytest.raises(ImageFetchError):
        ImageResolver().fetch(f"http://{name}:{elsewhere.port}/a.png", HOST)
    assert elsewhere.requests == []


def test_refusal_names_the_setting(elsewhere: Web) -> None:
    with pytest.raises(ImageFetchError, match="SAM_BACKEND_ALLOW_PRIVATE_ADDRESSES"):
        ImageResolver().fetch(f"{elsewhere.url}/a.png", HOST)


def test_a_redirect_to_a_private_address_is_refused(studio: Web, elsewhere: Web) -> None:
    studio.replies["/out"] = redirect(f"{elsewhere.url}/a.png")
    with pytest.raises(ImageFetchError, match="not a public address"):
        ImageResolver().fetch("/out", host(studio))
    assert elsewhere.requests == []


def test_the_checked_address_is_the_one_connected_to(elsewhere: Web) -> None:
    """A name server that answers otherwise the second time (rebinding) is asked only once."""
    answers = [["127.0.0.1"], ["8.8.8.8"]]

    def rebinding(name: str, port: int, timeout_s: float) -> list[IPAddress]:
        return [ipaddress.IPv4Address(address) for address in answers.pop(0)]

    resolver = ImageResolver(allow_private=True, resolver=rebinding)
    url = f"http://images.example:{elsewhere.port}/a.png"
    assert resolver.fetch(url, HOST).data == FILE
    assert len(answers) == 1
    assert elsewhere.requests[0].headers["Host"] == f"images.example:{elsewhere.port}"


def test_one_private_address_among_public_ones_refuses_the_name(elsewhere: Web) -> None:
    def mixed(name: str, port: int, timeout_s: float) -> list[IPAddress]:
        return [ipaddress.IPv4Address("8.8.8.8"), ipaddress.IPv4Address("127.0.0.1")]

    with pytest.raises(ImageFetchError, match=r"127\.0\.0\.1"):
        ImageResolver(resolver=mixed).fetch(f"http://h.example:{elsewhere.port}/a.png", HOST)


def test_the_next_address_is_tried(elsewhere: Web) -> None:
    """Of "localhost", say, whose ::1 nobody listens on."""

    def two(name: str, port: int, timeout_s: float) -> list[IPAddress]:
        return [ipaddress.ip_address("::1"), ipaddress.ip_address("127.0.0.1")]

    resolver = ImageResolver(allow_private=True, resolver=two)
    assert resolver.fetch(f"http://h.example:{elsewhere.port}/a.png", HOST).data == FILE


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ImageFetchError):
        ImageResolver().fetch("http://no-such-name.invalid/a.png", HOST)
    with pytest.raises(OSError, match=r".+"):
        resolve("x" * 300, 80, 5.0)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("sized", [True, False])
def test_too_many_bytes(studio: Web, sized: bool) -> None:
    studio.replies["/big"] = send(200, bytes(2000), sized=sized)
    studio.replies["/fits"] = send(200, bytes(1000), sized=sized)
    resolver = ImageResolver(FetchLimits(max_bytes=1000))
    assert len(resolver.fetch("/fits", host(studio)).data) == 1000
    with pytest.raises(ImageFetchError, match="1000"):
        resolver.fetch("/big", host(studio))


def test_limits_come_from_the_settings(studio: Web, elsewhere: Web) -> None:
    studio.replies["/big"] = send(200, bytes(1024 * 1024 + 1))
    studio.replies["/slow"] = drip(b"HTTP/1.0 200 OK\r\n\r\n")
    resolver = image_resolver(Settings(max_image_mb=1, image_timeout_s=0.3))
    with pytest.raises(ImageFetchError, match="1048576"):
        resolver.fetch("/big", host(studio))
    with pytest.raises(ImageFetchError, match=r"0\.3 s"):
        resolver.fetch("/slow", host(studio))
    with pytest.raises(ImageFetchError, match="not a public address"):
        resolver.fetch(f"{elsewhere.url}/a.png", host(studio))
    allowing = image_resolver(Settings(allow_private_addresses=True))
    assert allowing.fetch(f"{elsewhere.url}/a.png", host(studio)).data == FILE


def drip(start: bytes, seconds: float = 5.0) -> Reply:
    """One byte after another, each well within any read timeout, then a good end."""

    def reply(handler: object) -> None:
        stream = handler.wfile  # type: ignore[attr-defined]
        stream.write(start)
        for _ in range(int(seconds / 0.05)):
            stream.write(b"x")
            stream.flush()
            time.sleep(0.05)
        if not start.endswith(b"\r\n\r\n"):
            stream.write(b": y\r\n\r\n")

    return reply


@pytest.mark.parametrize(
    "start", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n"], ids=["body", "header"]
)
def test_a_slow_drip_ends_at_the_limit(studio: Web, start: bytes) -> None:
    studio.replies["/slow"] = drip(start)
    with pytest.raises(ImageFetchError, match=r"longer than 0\.3 s"):
        ImageResolver(FetchLimits(timeout_s=0.3)).fetch("/slow", host(studio))


def test_redirects_share_one_time_limit(studio: Web) -> None:
    def slow(handler: object) -> None:
        time.sleep(0.2)
        redirect("/slow")(handler)  # type: ignore[arg-type]

    studio.replies["/slow"] = slow
    with pytest.raises(ImageFetchError, match=r"longer than 0\.5 s"):
        ImageResolver(FetchLimits(timeout_s=0.5)).fetch("/slow", host(studio))


def test_a_cut_body_is_an_error(studio: Web) -> None:
    studio.replies["/cut"] = send(200, FILE, {"Content-Length": str(len(FILE) + 5)})
    with pytest.raises(ImageFetchError, match="cannot be fetched"):
        ImageResolver().fetch("/cut", host(studio))


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(FILE, mtime=0)),
        ("GZIP", gzip.compress(FILE[:9], mtime=0) + gzip.compress(FILE[9:], mtime=0)),
        ("x-gzip", gzip.compress(FILE, mtime=0)),
        ("deflate", zlib.compress(FILE)),
        ("deflate", _raw_deflate(FILE)),
        ("identity", FILE),
    ],
)
def test_compressed_answers_are_unpacked(studio: Web, encoding: str, body: bytes) -> None:
    """We ask for none, but buckets send what was stored so."""
    studio.replies["/gz"] = send(200, body, {"Content-Encoding": encoding})
    assert ImageResolver().fetch("/gz", host(studio)).data == FILE
    assert studio.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_compressed_answers_of_any_size(studio: Web, size: int) -> None:
    for encoding, body in (
        ("gzip", gzip.compress(bytes(size), mtime=0)),
        ("deflate", zlib.compress(bytes(size))),
    ):
        studio.replies[f"/{encoding}"] = send(200, body, {"Content-Encoding": encoding})
        assert len(ImageResolver().fetch(f"/{encoding}", host(studio)).data) == size


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", FILE, "no valid gzip"),
        ("gzip", gzip.compress(FILE, mtime=0)[:-9], "cut short"),
        ("gzip", b"", "cut short"),
        ("br", FILE, "'br'-encoded"),
        ("gzip, br", FILE, "'gzip, br'-encoded"),
        ("gzip", gzip.compress(bytes(50 << 20), mtime=0), "over 10000000 bytes"),  # a bomb of 50 kB
    ],
)
def test_compressed_answers_that_are_refused(
    studio: Web, encoding: str, body: bytes, reason: str
) -> None:
    studio.replies["/gz"] = send(200, body, {"Content-Encoding": encoding})
    with pytest.raises(ImageFetchError, match=reason):
        ImageResolver(FetchLimits(max_bytes=10_000_000)).fetch("/gz", host(studio))


# ---------------------------------------------------------------- files kept for a while


def test_files_are_kept_for_some_seconds(studio: Web) -> None:
    now = [0.0]
    resolver = ImageResolver(keep_s=60, clock=lambda: now[0])
    for at, n_requests in [(0, 1), (59, 1), (60, 2)]:
        now[0] = at
        resolver.fetch("/data/upload/1/a.png", host(studio))
        assert len(studio.requests) == n_requests


def test_kept_files_are_not_shared_between_tokens(studio: Web) -> None:
    resolver = ImageResolver()
    resolver.fetch("/data/upload/1/a.png", host(studio))
    resolver.fetch("/data/upload/1/a.png", host(studio, "f" * 40))
    assert studio.authorizations() == [f"Token {TOKEN}", f"Token {'f' * 40}"]


def test_kept_files_are_bounded_in_bytes(studio: Web) -> None:
    for name in "abc":
        studio.replies[f"/{name}"] = send(200, bytes(400))
    studio.replies["/large"] = send(200, bytes(1001))
    resolver = ImageResolver(max_cached_bytes=1000)
    for name in ["a", "b", "c", "large", "c", "b", "a", "large"]:
        resolver.fetch(f"/{name}", host(studio))
    asked = [request.path for request in studio.requests]
    assert asked == ["/a", "/b", "/c", "/large", "/a", "/large"]


def test_errors_are_not_kept(studio: Web) -> None:
    resolver = ImageResolver()
    with pytest.raises(ImageFetchError):
        resolver.fetch("/later", host(studio))
    studio.replies["/later"] = send(200, FILE)
    assert resolver.fetch("/later", host(studio)).data == FILE


# ---------------------------------------------------------------- data URIs


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("data:image/png;base64,aGk=", b"hi"),
        ("data:image/png;charset=x;base64,aGk%3D", b"hi"),
        ("DATA:;BASE64,aG k=\n", b"hi"),
        ("data:,a%20b", b"a b"),
    ],
)
def test_data_uri(uri: str, data: bytes) -> None:
    assert read_data_uri(uri, 100) == data
    assert ImageResolver().fetch(uri, HOST).data == data


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:;base64,a", "data:;base64,****"])
def test_broken_data_uri(uri: str) -> None:
    with pytest.raises(ImageFetchError):
        read_data_uri(uri, 100)


def test_large_data_uri() -> None:
    with pytest.raises(ImageFetchError, match="over the limit"):
        read_data_uri("data:;base64," + base64.b64encode(bytes(101)).decode(), 100)
    with pytest.raises(ImageFetchError, match="over the limit"):
        read_data_uri("data:," + "x" * 101, 100)


# ---------------------------------------------------------------- TLS


def test_tls_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl program to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:images.example"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def here(name: str, port: int, timeout_s: float) -> list[IPAddress]:
        return [ipaddress.IPv4Address("127.0.0.1")]

    resolver = ImageResolver(allow_private=True, resolver=here)
    with serve(context) as web:
        web.replies["/a.png"] = send(200, FILE)
        assert resolver.fetch(f"https://images.example:{web.port}/a.png", HOST).data == FILE
        with pytest.raises(ImageFetchError, match="certificate"):
            resolver.fetch(f"https://other.example:{web.port}/a.png", HOST)

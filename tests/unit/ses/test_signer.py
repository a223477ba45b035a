from __future__ import annotations

from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from mailer.ses.request import SEND_EMAIL_PATH
from mailer.ses.signer import Signer

TEXT = st.text(alphabet="ABCabc019+/=", min_size=1, max_size=60)
REGIONS = st.sampled_from(["us-east-1", "eu-central-1", "ap-southeast-2"])
ORIGINS = st.sampled_from(
    [
        "https://email.us-east-1.amazonaws.com",
        "https://email.us-east-1.amazonaws.com:443",
        "http://127.0.0.1:9025",
        "http://localhost:80",
        "http://[::1]:9025",
        "https://proxy.example.com:8443/aws/ses ü",
        "http://localhost/a%20b",
    ]
)
# Until 2100, so that the date has eight digits.
MOMENTS = st.integers(min_value=0, max_value=4102444800)


def signed_by_botocore(
    url: str, region: str, credentials: ReadOnlyCredentials, body: bytes, moment: int
) -> dict[str, str]:
    """`SigV4Auth.add_auth` step by step, at a moment of our choice."""
    request = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
    request.context["timestamp"] = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
    auth = SigV4Auth(credentials, "ses", region)
    auth._modify_request_before_signing(request)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(to_sign, request))
    return dict(request.headers.items())


def lines(block: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in block.decode().split("\r\n") if line)


@given(
    origin=ORIGINS,
    region=REGIONS,
    access_key=TEXT,
    secret_key=TEXT,
    token=st.none() | TEXT,
    bodies=st.lists(st.tuples(st.binary(max_size=300), MOMENTS), min_size=1, max_size=4),
)
def test_every_signature_is_botocores(
    origin: str,
    region: str,
    access_key: str,
    secret_key: str,
    token: str | None,
    bodies: list[tuple[bytes, int]],
) -> None:
    """Several requests with one signer, whose cache must not outlive its second, day or credentials."""
    url = origin + SEND_EMAIL_PATH
    signer = Signer(url, region=region)
    for body, moment in bodies:
        for secret in (secret_key, secret_key + "x"):
            credentials = ReadOnlyCredentials(access_key, secret, token, None)

            ours = lines(signer.sign(body, credentials, moment))

            assert ours == signed_by_botocore(url, region, credentials, body, moment)


def test_the_host_is_written_as_http_clients_write_it() -> None:
    assert Signer("https://email.us-east-1.amazonaws.com:443/x", region="r").host == "email.us-east-1.amazonaws.com"
    assert Signer("http://[::1]:9025/x", region="r").host == "[::1]:9025"


def test_a_path_is_written_to_the_wire_as_it_is_in_the_url() -> None:
    assert Signer("http://localhost/a%20b/c d", region="r").path == "/a%20b/c%20d"

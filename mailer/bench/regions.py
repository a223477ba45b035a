"""The distance of SES's Regions from this host: the time to connect, and to the first byte of a response."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import pycurl

from mailer.masking import without_login
from mailer.ses.access import find_ca_bundle, find_proxy
from mailer.ses.credentials import open_session

TRIES = 3
_SERVICE = "email"  # SES's name in host names and in botocore's endpoint data
_AT_ONCE = 8
_CONNECT_SECONDS, _ANSWER_SECONDS = 3.0, 10.0


@dataclass(frozen=True, slots=True)
class Distance:
    """Times in seconds, the median of the tries. ``error`` is the reason if there are no times.

    ``connect`` is the TCP handshake, one round trip. ``secure`` is the TLS handshake, None without TLS. ``first_byte``
    is the time from the request to the first byte of SES's response.
    """

    region: str
    url: str
    connect: float = 0.0
    secure: float | None = None
    first_byte: float = 0.0
    error: str | None = None


def endpoints() -> dict[str, str]:
    """SES's endpoint in each Region, from botocore's data."""
    partitions: Any = open_session().get_data("endpoints")["partitions"]
    found = {}
    for partition in partitions:
        pattern = partition["defaults"]["hostname"]
        for region, endpoint in partition["services"].get(_SERVICE, {"endpoints": {}})["endpoints"].items():
            # Other entries are variants of a Region's endpoint, such as those for FIPS 140.
            if region in partition["regions"]:
                host = endpoint.get("hostname", pattern)
                host = host.format(service=_SERVICE, region=region, dnsSuffix=partition["dnsSuffix"])
                found[region] = f"https://{host}"
    return found


def compare(urls: Mapping[str, str]) -> list[Distance]:
    """Measure each URL, a few at the same time. Returns the nearest first, and unreachable ones last."""
    ca_bundle = find_ca_bundle(open_session())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda region: _measure(region, urls[region], ca_bundle), urls))
    return sorted(found, key=lambda each: (each.error is not None, each.connect + each.first_byte, each.region))


def _measure(region: str, url: str, ca_bundle: str) -> Distance:
    tries = []
    for _ in range(TRIES):
        try:
            tries.append(_try(url, ca_bundle))
        except pycurl.error as error:
            said = str(error.args[1]) or f"libcurl's error {error.args[0]}"
            proxy = find_proxy(url)
            return Distance(region, url, error=said.replace(proxy, without_login(proxy)) if proxy else said)
    connect, secure, first_byte = zip(*tries, strict=True)
    over_tls = url.startswith("https:")
    return Distance(region, url, median(connect), median(secure) if over_tls else None, median(first_byte))


def _try(url: str, ca_bundle: str) -> tuple[float, float, float]:
    curl = pycurl.Curl()
    try:
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.NOBODY, 0)
        curl.setopt(pycurl.WRITEFUNCTION, len)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.USERAGENT, "mailer")
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(1000 * _CONNECT_SECONDS))
        curl.setopt(pycurl.TIMEOUT_MS, round(1000 * (_CONNECT_SECONDS + _ANSWER_SECONDS)))
        curl.setopt(pycurl.CAINFO, ca_bundle)
        curl.setopt(pycurl.PROXY_CAINFO, ca_bundle)
        # Same as the hot path: botocore selects the proxy.
        curl.setopt(pycurl.PROXY, find_proxy(url) or "")
        curl.setopt(pycurl.NOPROXY, "")
        curl.perform()
        looked_up, connected, secured, asked, answered = (
            float(curl.getinfo(moment))
            for moment in (
                *(pycurl.NAMELOOKUP_TIME, pycurl.CONNECT_TIME, pycurl.APPCONNECT_TIME),
                *(pycurl.PRETRANSFER_TIME, pycurl.STARTTRANSFER_TIME),
            )
        )
    finally:
        curl.close()
    return connected - looked_up, max(0.0, secured - connected), answered - asked

"""The egress guard: what a caller or a server names must be public; nobody reaches cloud metadata."""

from __future__ import annotations

import pytest

from policies.egress import EgressGuard

GUARD = EgressGuard()

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "2001:db8::1", "not-an-address", "1.2.3", "0x7f.1",
]  # fmt: skip
METADATA = ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "100.100.100.200"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_foreign_name_may_not_lead_inside(address: str) -> None:
    assert GUARD.judge_address(address, "foreign") is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "8.8.8.8"])
def test_the_operator_may_name_inside_addresses(address: str) -> None:
    assert GUARD.judge_address(address, "operator") is None


@pytest.mark.parametrize("address", METADATA)
def test_nobody_reaches_cloud_metadata(address: str) -> None:
    assert GUARD.judge_address(address, "operator") is not None
    assert EgressGuard(allow_private=True).judge_address(address, "foreign") is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_open(address: str) -> None:
    assert GUARD.judge_address(address, "foreign") is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "file:///etc/passwd",
        "https://",
        "https://u:p@x.example/",
        "http://x.example/",
        "https://x.example\\@evil.example/",
        "https://x.example/ a",
        "https://x.example:0/",
        "https://x.example:99999/",
        "https://[::1/",
        "",
    ],
)
def test_odd_urls_are_refused(url: str) -> None:
    assert GUARD.judge_url(url, "foreign") is not None


def test_a_plain_https_url_is_open_and_the_operator_may_use_http() -> None:
    assert GUARD.judge_url("https://x.example/path?q=1", "foreign") is None
    assert GUARD.judge_url("http://127.0.0.1:9000/v1", "operator") is None

"""Which proxy a URL goes through, by the environment."""

from __future__ import annotations

import pytest

from policies.proxies import ProxyError, from_environment

NAMED = {"HTTPS_PROXY": "http://secure.example:3128", "HTTP_PROXY": "plain.example:8080"}


def way(environ: dict[str, str], scheme: str = "https", host: str = "api.vendor.test", port: int = 443) -> str:
    return str(from_environment(environ).of(scheme, host, port))


def test_each_scheme_has_its_own_proxy_and_without_one_the_host_is_reached_itself() -> None:
    assert (way(NAMED), way(NAMED, "http")) == ("secure.example:3128", "plain.example:8080")
    assert (way({}), way({"HTTP_PROXY": "http://plain.example"})) == ("None", "None")
    assert way({"HTTP_PROXY": "http://plain.example"}, "http") == "plain.example:80"


def test_small_letters_count_before_capitals_and_an_empty_value_is_none() -> None:
    assert way({**NAMED, "https_proxy": "http://small.example:1"}) == "small.example:1"
    assert way({**NAMED, "https_proxy": ""}) == "secure.example:3128"
    assert way({"HTTPS_PROXY": " "}) == "None"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "gate.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_never_reached_through_a_proxy(host: str) -> None:
    assert way(NAMED, host=host) == "None"


@pytest.mark.parametrize(
    ("entries", "host", "port", "spared"),
    [
        ("*", "api.vendor.test", 443, True),
        ("vendor.test", "vendor.test", 443, True),
        ("vendor.test", "API.Vendor.Test.", 443, True),
        ("vendor.test", "othervendor.test", 443, False),
        (".vendor.test", "api.vendor.test", 443, True),
        ("*.vendor.test", "api.vendor.test", 443, True),
        ("vendor.test:8443", "vendor.test", 8443, True),
        ("vendor.test:8443", "vendor.test", 443, False),
        ("a.test, b.test\tc.test", "c.test", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "10.vendor.test", 443, False),
        ("10.1.2.3:80", "10.1.2.3", 443, False),
        ("fd00::/8", "fd00::5", 443, True),
        ("[fd00::5]:443", "fd00::5", 443, True),
        ("[fd00::5]:443", "fd00::5", 80, False),
        (". ,", "api.vendor.test", 443, False),
        ("", "api.vendor.test", 443, False),
    ],
)
def test_what_no_proxy_names_is_reached_itself(entries: str, host: str, port: int, *, spared: bool) -> None:
    assert (way({**NAMED, "NO_PROXY": entries}, host=host, port=port) == "None") is spared


def test_user_and_password_are_for_the_proxy_and_nobody_sees_them() -> None:
    proxy = from_environment({"HTTPS_PROXY": "http://gate:p%40ss@proxy.example:3128"}).of("https", "a.test", 443)
    assert proxy is not None
    assert proxy.field_line == "proxy-authorization: Basic Z2F0ZTpwQHNz\r\n"
    assert not {"p@ss", "p%40ss", "Z2F0ZTpwQHNz"} & set(f"{proxy!r} {proxy}".replace("'", " ").split())


@pytest.mark.parametrize(
    "value", ["socks5://s3cret:s3cret@p:1", "https://s3cret@p:1", "http://s3cret@:3128", "http://s3cret:x:y"]
)
def test_a_proxy_that_cannot_be_used_is_refused_by_its_variable_and_its_value_is_not_told(value: str) -> None:
    with pytest.raises(ProxyError, match="HTTPS_PROXY") as caught:
        from_environment({"HTTPS_PROXY": value})
    assert "s3cret" not in str(caught.value)

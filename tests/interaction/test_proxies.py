"""A gate whose way out leads through a proxy, which is a real one: tinyproxy, with a user and a password.

Hosts on loopback are never reached through a proxy; ``127.1`` is one by another name, which only the proxy resolves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.transport import PooledTransport
from policies.egress import EgressGuard, Timeouts
from policies.proxies import from_environment
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import RunningGateway
from tests.support.services import ForwardingProxy, forwarding_proxy, python_server
from tests.unit.gateway.raw_peers import OK, Authority, answering, peer

pytestmark = pytest.mark.anyio

KEY = "vk-proxy-0123456789abcdef01234567"
PASSWORD = "s3cret-of-the-proxy"
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[ForwardingProxy]:
    with forwarding_proxy(tmp_path, PASSWORD) as running:
        yield running


def config(llm: ScriptedLLM, mcp_port: int = 9, scheme: str = "http") -> str:
    port = llm.base.rpartition(":")[2]
    return f"""
    providers:
      - {{name: openai, api_key: sk-x, base_url: "{scheme}://127.1:{port}/v1", allowed_models: ["gpt-4o"], prices: free}}
    mcp_servers:
      calm: {{url: "http://127.1:{mcp_port}/calm"}}
    virtual_keys:
      - {{key_name: k, key: {KEY}, allowed_models: ["*"], allowed_tools: ["*"]}}
    """


async def test_models_and_tools_are_reached_through_the_proxy(
    proxy: ForwardingProxy, llm: ScriptedLLM, tmp_path: Path
) -> None:
    async with python_server("-m", "tests.peers.rude_http") as port:
        named = {"HTTP_PROXY": proxy.url(PASSWORD)}
        async with RunningGateway(config(llm, port), tmp_path, named) as gate:
            said = await gate.http.post("/v1/chat/completions", json=ASKED, headers={"x-bf-vk": KEY})
            assert said.status_code == 200, said.text
            stream = await gate.http.post(
                "/v1/chat/completions", json={**ASKED, "stream": True}, headers={"x-bf-vk": KEY}
            )
            assert stream.text.rstrip().endswith("data: [DONE]")
            assert "error" not in await gate.call(KEY, "calm__work")
    assert {line.split("/")[3] for line in proxy.asked} == {"v1", "calm"}
    assert all(line.split()[1].startswith("http://127.1:") for line in proxy.asked)
    assert not any("proxy-authorization" in seen.headers for seen in llm.seen)
    assert PASSWORD not in gate.log.read_text()


async def test_a_password_that_the_proxy_does_not_take_is_told_by_name_and_nothing_leaves(
    proxy: ForwardingProxy, llm: ScriptedLLM, tmp_path: Path
) -> None:
    named = {"HTTPS_PROXY": proxy.url("wrong-password")}
    async with RunningGateway(config(llm, scheme="https"), tmp_path, named) as gate:
        said = await gate.http.post("/v1/chat/completions", json=ASKED, headers={"x-bf-vk": KEY})
        assert (said.status_code, said.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert "refused the way with 401: put the user and password" in said.text
        assert "wrong-password" not in said.text + gate.log.read_text()
        (row,) = [row for row in await gate.rows() if row["kind"] == "model"]
        assert (row["outcome"], row["cost_nano"], llm.seen) == ("failed", 0, [])


async def test_tls_goes_through_the_proxy_as_it_is(proxy: ForwardingProxy, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    async with peer(answering(OK), authority.serving("127.1")) as vendor:
        proxies = from_environment({"HTTPS_PROXY": proxy.url(PASSWORD)})
        transport = PooledTransport(EgressGuard(), authority.trusting(), proxies=proxies)
        response = await transport.open("POST", f"https://127.1:{vendor.port}/", [], b"x", Timeouts())
        assert await response.read(100) == b"ok"
        await transport.close()
    assert proxy.asked == [f"CONNECT 127.1:{vendor.port}"]


async def test_a_proxy_of_another_kind_stops_check_and_start_by_its_variable(
    llm: ScriptedLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:s3cret@127.0.0.1:1")
    gate = RunningGateway(config(llm), tmp_path)
    with pytest.raises(RuntimeError, match="environment: HTTPS_PROXY names a proxy of another kind") as caught:
        await gate.__aenter__()
    code, out, err = await gate.cli("check", str(gate.config))
    assert (code, "HTTPS_PROXY names a proxy of another kind" in out + err) == (2, True)
    assert "s3cret" not in str(caught.value) + out + err


async def test_check_says_which_addresses_go_through_a_proxy(
    llm: ScriptedLLM, proxy: ForwardingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", proxy.url(PASSWORD))
    async with RunningGateway(config(llm), tmp_path) as gate:
        code, out, err = await gate.cli("check", str(gate.config))
    assert (code, "https:// addresses are reached through the proxy of HTTPS_PROXY" in out + err) == (0, True)
    assert PASSWORD not in out + err + gate.log.read_text()

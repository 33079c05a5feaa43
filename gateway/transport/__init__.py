"""The pooled HTTP/1.1 client behind ``policies.egress.HttpTransport``, on asyncio protocols and httptools.

```
request.py      a URL and headers, judged and turned into bytes: what may leave
dialing.py      a name becomes judged addresses, an address a connection, with TLS where the URL says so
tunnel.py       through a proxy to a host that is spoken to in TLS
connection.py   one connection: one exchange after another, never two at once
response.py     an answer as it arrives; back-pressure
deadline.py     one timer a connection, not one a call
pool.py         who has an idle connection, and the transport itself
```

What it does not do, on purpose: no redirect, no cookie, no decompression, no pipelining, no HTTP/2.
"""

from gateway.transport.pool import PooledTransport

__all__ = ["PooledTransport"]

"""The one place where the client touches the network.

A transport is any object with ``request(method, url, headers, params, json, timeout)`` and ``close()``; tests
put an in-process API behind the same seam.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Protocol

import requests
from requests.adapters import HTTPAdapter

from flowclient.caller import warn_caller

#: Seconds to wait for a connection and for the next bytes of a reply. None waits for ever.
Timeout = float | tuple[float | None, float | None] | None


class Reply(Protocol):
    """The part of an HTTP response that the client reads."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> Any: ...

    @property
    def text(self) -> str: ...

    def json(self) -> Any: ...


class Transport(Protocol):
    """Sends one HTTP request and returns the reply, whatever its status; redirects are not followed."""

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        json: Any,
        timeout: Timeout,
    ) -> Reply: ...

    def close(self) -> None: ...


class TransportError(OSError):
    """No complete reply arrived. ``transient`` says whether asking again may help."""

    def __init__(self, cause: str, *, transient: bool) -> None:
        super().__init__(cause)
        self.transient = transient


class _ContextAdapter(HTTPAdapter):
    """Checks certificates by the caller's own context, and by nothing else."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        self._context = context
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def cert_verify(self, *_: Any) -> None:
        """Leave the context alone; requests would add its own bundle of roots to it."""


def _keep_authorization(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand in as the session's authentication, so that a ``.netrc`` entry cannot replace the token."""
    return request


class RequestsTransport:
    """HTTP over a pooled :class:`requests.Session`.

    Parameters
    ----------
    ssl_certificate : str, bool, ssl.SSLContext or None
        Path of a CA file; True or None for the default roots; False for no check at all, with a warning; or a context.
    """

    _pool_size = 32

    def __init__(self, ssl_certificate: str | bool | ssl.SSLContext | None = True) -> None:
        if ssl_certificate is False:
            warn_caller(
                "Certificate checking is switched off (ssl_certificate=False): anyone in between can read this connection."
            )
        self.session = requests.Session()
        self._verify: bool | str = True
        adapter = HTTPAdapter(pool_maxsize=self._pool_size)
        if isinstance(ssl_certificate, ssl.SSLContext):
            adapter = _ContextAdapter(ssl_certificate, pool_maxsize=self._pool_size)
        elif ssl_certificate is not None:
            self._verify = ssl_certificate
        self.session.mount("https://", adapter)
        self.session.mount("http://", HTTPAdapter(pool_maxsize=self._pool_size))

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        json: Any,
        timeout: Timeout,
    ) -> Reply:
        try:
            return self.session.request(
                method,
                url,
                headers=headers,
                params=params,
                json=json,
                timeout=timeout,
                # Given with each request: a session-wide value loses against REQUESTS_CA_BUNDLE.
                verify=self._verify,
                auth=_keep_authorization,
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise TransportError(str(error), transient=False) from error
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise TransportError(str(error), transient=True) from error
        except OSError as error:
            raise TransportError(str(error), transient=False) from error

    def close(self) -> None:
        self.session.close()

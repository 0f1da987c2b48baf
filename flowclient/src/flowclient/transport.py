"""The one place where the client touches the network.

A transport is any object with ``request(method, url, headers, params, json, timeout)`` and ``close()``; tests
put an in-process API behind the same seam.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from requests import certs
from requests.adapters import HTTPAdapter

from flowclient.caller import warn_caller

#: Seconds to wait for a connection and for the next bytes of a reply. None waits for ever.
Timeout = float | tuple[float | None, float | None] | None
SSLCertificate = str | os.PathLike[str] | bool | ssl.SSLContext | None

#: Connections that are kept, and requests that are under way at a time on an event loop.
POOL_SIZE = 32
_PORTS = {"http": 80, "https": 443}


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
    """Send one HTTP request and return the reply of any status.

    Redirects are not followed.
    """

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
    """Check certificates by one context only.

    No bundle that requests finds is added.
    """

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        self._context = context
        # Without this, urllib3 checks the host name even where the context is told not to.
        self._checks: dict[str, Any] = {
            "ssl_context": context,
            "assert_hostname": None if context.check_hostname else False,
        }
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        options.update(self._checks)
        super().init_poolmanager(*args, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        options.update(self._checks)
        return super().proxy_manager_for(proxy, **options)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        # Whatever is asked for, by REQUESTS_CA_BUNDLE too, gives way; requests would load it into the context.
        options["verify"] = self._context.verify_mode != ssl.CERT_NONE
        return super().send(request, *args, **options)

    def cert_verify(self, *_: Any) -> None:
        """Leave the context alone."""


def certificate_context(ssl_certificate: SSLCertificate) -> ssl.SSLContext:
    """Return the context that checks certificates as asked.

    Only False disables the check, with a warning.

    Raises
    ------
    TypeError
        If it is none of what may be asked for, such as 0.
    OSError
        If the path leads to no certificates.
    """
    if isinstance(ssl_certificate, ssl.SSLContext):
        return ssl_certificate
    # An empty text is what a look-up in the environment gives for a variable that is set to nothing.
    if ssl_certificate is None or ssl_certificate is True or ssl_certificate == "":
        return _default_context()
    if ssl_certificate is False:
        warn_caller(
            "Certificate checking is switched off (ssl_certificate=False): anyone in between can read this connection."
        )
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if not isinstance(ssl_certificate, str | os.PathLike):
        raise TypeError(
            f"ssl_certificate = {ssl_certificate!r}: must be the path of a CA file, True, None, False or an ssl.SSLContext."
        )
    path = os.fspath(ssl_certificate)
    try:
        if os.path.isdir(path):
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise OSError(
            f"ssl_certificate = {path!r}: must be the path of a CA file or folder, or True: {error}"
        ) from None


def _default_context() -> ssl.SSLContext:
    """Return a context with the default roots.

    These are the system's, or those of SSL_CERT_FILE and SSL_CERT_DIR; where there are none, certifi's.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None and not context.get_ca_certs():
        context.load_verify_locations(certs.where())
    return context


class Session(requests.Session):
    """Send requests to one API by relative addresses.

    The token goes to no other server.

    Parameters
    ----------
    base : str
        Address of the API, ending in a slash; empty for none.
    """

    def __init__(self, base: str = "") -> None:
        super().__init__()
        self._base = base
        # Standing in as the authentication, it also keeps a ``.netrc`` entry from replacing the token.
        self.auth = self._keep_token_at_home

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send a request, to a route of the API where ``url`` is relative."""
        address = url.decode() if isinstance(url, bytes) else url
        if not urlsplit(address).netloc:
            address = self._base + address.lstrip("/")
        return super().request(method, address, *args, **options)

    def _keep_token_at_home(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._base and origin(request.url or "") != origin(self._base):
            request.headers.pop("Authorization", None)
        return request


def origin(address: str) -> tuple[str, str | None, int | None]:
    """Return the scheme, host and port of an address."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


class RequestsTransport:
    """HTTP over a pooled :class:`requests.Session`.

    Parameters
    ----------
    ssl_certificate : str, bool, ssl.SSLContext or None
        Path of a CA file; True or None for the system's roots, or those that SSL_CERT_FILE and SSL_CERT_DIR name;
        False for no check at all, with a warning; or a context.
    base : str
        Address of the API that relative addresses of the session belong to.
    """

    def __init__(self, ssl_certificate: SSLCertificate = True, base: str = "") -> None:
        context = certificate_context(ssl_certificate)
        self.session = Session(base)
        self.session.mount("https://", _ContextAdapter(context, pool_maxsize=POOL_SIZE))
        self.session.mount("http://", HTTPAdapter(pool_maxsize=POOL_SIZE))

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
            reply = self.session.request(
                method,
                url,
                headers=headers,
                params=params,
                json=json,
                timeout=timeout,
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
        if "charset" not in reply.headers.get("Content-Type", ""):
            # Otherwise requests encodes text as Latin-1.
            reply.encoding = "utf-8"
        return reply

    def close(self) -> None:
        self.session.close()

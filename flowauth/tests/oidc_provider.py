"""Run a small OpenID Connect provider for tests: ``python oidc_provider.py``.

It prints its port, and signs in the person in the parameter ``as`` of its page. ``lie`` makes its answer wrong.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, request
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

SECRET = "of-the-client"
KEYS = {
    name: RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"}) for name in ("honest", "forged")
}
codes: dict[str, SimpleNamespace] = {}


class Client:
    """The auth app, as the provider knows it."""

    client_id = "flowauth"

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/sign-in/provider/back")

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Code(SimpleNamespace):
    def get_redirect_uri(self) -> str:
        return str(self.redirect_uri)

    def get_scope(self) -> str:
        return str(self.scope)

    def get_nonce(self) -> str:
        return "another" if self.lie == "nonce" else str(self.nonce)

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class CodeGrant(AuthorizationCodeGrant):
    def save_authorization_code(self, code: str, request: Any) -> None:
        payload = request.payload.data
        codes[code] = Code(
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            scope=request.payload.scope,
            nonce=payload["nonce"],
            code_challenge=payload["code_challenge"],
            code_challenge_method=payload["code_challenge_method"],
            user=request.user,
            lie=payload.get("lie"),
        )

    def query_authorization_code(self, code: str, client: Client) -> Any:
        return codes.get(code)

    def delete_authorization_code(self, authorization_code: Any) -> None:
        for code, stored in list(codes.items()):
            if stored is authorization_code:
                del codes[code]

    def authenticate_user(self, authorization_code: Any) -> Any:
        return SimpleNamespace(name=authorization_code.user, lie=authorization_code.lie)


class Identity(OpenIDCode):
    lie: str | None = None

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False

    def encode_id_token(self, token: Any, request: Any) -> Any:
        self.lie = request.authorization_code.lie
        return super().encode_id_token(token, request)

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return KEYS["forged" if self.lie == "signature" else "honest"]

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": "one"}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": "https://elsewhere.example" if self.lie == "issuer" else request.host_url.rstrip("/"),
            "aud": ["another"] if self.lie == "audience" else [client.client_id],
            "iat": now,
            "exp": now - 3600 if self.lie == "expired" else now + 60,
        }

    def generate_user_info(self, user: Any, scope: str) -> dict[str, str]:
        return {"sub": f"subject-of-{user.name}", "preferred_username": user.name}


def create_app() -> Flask:
    app = Flask(__name__)
    server = AuthorizationServer(
        app, query_client=lambda _id: Client(), save_token=lambda _token, _request: None
    )
    server.register_grant(CodeGrant, [Identity(require_nonce=True), CodeChallenge(required=True)])

    @app.get("/.well-known/openid-configuration")
    def configuration() -> Any:
        base = request.host_url.rstrip("/")
        return jsonify(
            issuer=base,
            authorization_endpoint=f"{base}/authorize",
            token_endpoint=f"{base}/token",
            jwks_uri=f"{base}/keys",
            id_token_signing_alg_values_supported=["RS256"],
            response_types_supported=["code"],
            subject_types_supported=["public"],
        )

    @app.get("/authorize")
    def authorize() -> Any:
        grant = server.get_consent_grant(end_user=request.args["as"])
        return server.create_authorization_response(grant=grant, grant_user=request.args["as"])

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.get("/keys")
    def keys() -> Any:
        return jsonify(keys=[KEYS["honest"].as_dict(private=False)])

    return app


if __name__ == "__main__":
    made = make_server("127.0.0.1", 0, create_app())
    sys.stdout.write(f"{made.server_port}\n")
    sys.stdout.flush()
    made.serve_forever()

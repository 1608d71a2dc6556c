"""login.microsoftonline.com: tokens for a service principal."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any
from urllib.parse import parse_qs

from control_plane.messages import Answer, Request

HOST = "login.microsoftonline.com"
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SECRET = secrets.token_urlsafe()


class SignIn:
    """Issues tokens, and checks them."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def __call__(self, request: Request) -> Answer:
        if request.path.endswith("/.well-known/openid-configuration"):
            tenant = f"https://{HOST}/{request.path.split('/')[1]}"
            return Answer.of(
                {
                    "issuer": f"{tenant}/v2.0",
                    "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                }
            )
        if request.path.endswith("/oauth2/v2.0/token"):
            return self._token(request)
        if request.path == "/common/discovery/instance":  # requested after a rejected token
            cloud = {"preferred_network": HOST, "preferred_cache": HOST, "aliases": [HOST]}
            return Answer.of({"api-version": "1.1", "metadata": [cloud]})
        return Answer(404)

    def _token(self, request: Request) -> Answer:
        form = {name: found[0] for name, found in parse_qs(request.body.decode()).items()}
        assert form["client_secret"] == SECRET
        audience = form["scope"].removesuffix("/.default")
        token = _unsigned({"aud": audience, "appid": form["client_id"], "tid": TENANT})
        self._given[token] = audience
        return Answer.of({"token_type": "Bearer", "expires_in": 3600, "access_token": token})

    def knows(self, request: Request) -> bool:
        """Return whether a request has an issued token."""
        return request.headers.get("Authorization", "").removeprefix("Bearer ") in self._given


def _unsigned(claims: dict[str, Any]) -> str:
    """Return a JSON web token without a signature."""
    parts = [{"alg": "none", "typ": "JWT"}, {**claims, "jti": secrets.token_hex()}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return b".".join([*(part.rstrip(b"=") for part in encoded), b"none"]).decode()

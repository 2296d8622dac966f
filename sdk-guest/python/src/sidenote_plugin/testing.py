"""A host in memory, for unit tests in your Python: what a plugin imports from the interface, and what a test sets and sees of
it."""

import base64
import hashlib
import hmac
import unittest
from typing import Any
from unittest.mock import patch

from componentize_py_types import Err
from wit_world.imports.crypto import Encoding, Hash
from wit_world.imports.http import Error, Request, Response


def signature(
    secret: str, data: bytes, *, hash: Hash = Hash.SHA256, encoding: Encoding = Encoding.HEX
) -> str:
    """As a platform signs."""
    digest = hmac.new(secret.encode(), data, getattr(hashlib, hash.name.lower())).digest()
    return digest.hex() if encoding == Encoding.HEX else base64.b64encode(digest).decode()


class HostCase(unittest.TestCase):
    """A test with a host of its own. Call `super().setUp()` where you have a `setUp`."""

    def setUp(self) -> None:
        # The settings, and the secrets by name.
        self.settings: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        # What is answered to requests, in order; an `Error` is raised.
        self.answers: list[Response | Error] = []
        # What was sent and logged.
        self.requests: list[Request] = []
        self.lines: list[tuple[Any, str, list[tuple[str, str]]]] = []
        for name, fake in [
            ("config.get", lambda key: self.settings.get(key)),
            ("crypto.hmac_sign", self._hmac_sign),
            ("crypto.hmac_verify", self._hmac_verify),
            ("http.send", self._send),
            ("log.write", lambda *line: self.lines.append(line)),
        ]:
            patcher = patch(f"wit_world.imports.{name}", fake)
            patcher.start()
            self.addCleanup(patcher.stop)

    def raised(self, run: Any, *args: Any, **more: Any) -> Any:
        """The failure or the rejection that a call raises."""
        with self.assertRaises(Err) as caught:
            run(*args, **more)
        return caught.exception.value

    def _send(self, request: Request) -> Response:
        self.requests.append(request)
        if not self.answers:
            raise AssertionError("the test has no answer left")
        answer = self.answers.pop(0)
        if isinstance(answer, Error):
            raise Err(answer)
        return answer

    def _hmac_sign(self, secret: str, hash: Hash, encoding: Encoding, data: bytes) -> str:
        key = self.secrets.get(secret)
        if not key:
            raise Err(f"no secret `{secret}`")
        return signature(key, data, hash=hash, encoding=encoding)

    def _hmac_verify(self, secret: str, hash: Hash, encoding: Encoding, data: bytes, given: str) -> bool:
        wanted = self._hmac_sign(secret, hash, encoding, data)
        return wanted == (given.lower() if encoding == Encoding.HEX else given)

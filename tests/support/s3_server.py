"""A real S3 server on loopback whose answers can be made to fail: moto's, which keeps the objects in memory."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "scans"
# Answers one request in place of the server; None: the server does. Takes the request's environment.
Fault = Callable[[dict[str, Any]], tuple[str, list[tuple[str, str]], Iterable[bytes]] | None]


@dataclass
class S3Server:
    """The server's address, what it was asked for ("GET scans/key"), and the faults of its next answers.

    is_away: it answers 503 to everything.
    """

    url: str
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    is_away: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 finds it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @staticmethod
    def fill(keys: Iterable[str]) -> None:
        """Store empty objects, past the network: a thousand of them take seconds over it."""
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for key in keys:
            backend.put_object(BUCKET, key, b"")


def refusal(status: str, code: str) -> Fault:
    """An answer of the store's own that is an error."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return lambda _request: (status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))], [body])


def cut_body(request: dict[str, Any]) -> tuple[str, list[tuple[str, str]], Iterable[bytes]] | None:
    """The head of a long answer and a little of its body, for a GET of an object."""
    if request["REQUEST_METHOD"] != "GET":
        return None
    return "200 OK", [("Content-Length", "1000000"), ("ETag", '"x"')], [b"half"]


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with the empty bucket BUCKET, that boto3 of this process finds; ended with the block."""
    moto = DomainDispatcherApplication(create_backend_app)
    server = S3Server("")

    def application(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        server.requests.append(f"{request['REQUEST_METHOD']} {request['PATH_INFO'].lstrip('/')}")
        if server.is_away:
            start("503 Service Unavailable", [("Content-Length", "0")])
            return []
        for fault in list(server.faults):
            answer = fault(request)
            if answer is not None:
                server.faults.remove(fault)
                status, headers, body = answer
                start(status, headers)
                return body
        answered: Iterable[bytes] = moto(request, start)
        return answered

    listening = make_server("127.0.0.1", 0, application, threaded=True)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    with mock.patch.dict(os.environ, server.environment):
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        try:
            yield server
        finally:
            for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
                client.delete_object(Bucket=BUCKET, Key=item["Key"])
            client.delete_bucket(Bucket=BUCKET)
            listening.shutdown()
            thread.join()
            listening.server_close()

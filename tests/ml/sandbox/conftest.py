"""A decode server for the whole run, as a web process has one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml.sandbox.decoder import Decoded, Decoder
from ml.scans import ScanError
from tests.support.sandbox_servers import started_servers


@pytest.fixture(scope="module", autouse=True)
def servers_as_they_are() -> Iterator[None]:
    """These tests are about the servers themselves."""
    with started_servers():
        yield


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.fixture
def decode(decoder: Decoder, tmp_path: Path) -> Callable[[bytes], Decoded]:
    """Decode bytes in the sandbox; the stack is `tmp_path / "stack.npy"`."""

    def decode(data: bytes) -> Decoded:
        source = tmp_path / "scan"
        source.write_bytes(data)
        return decoder.decode(source, tmp_path / "stack.npy")

    return decode


@pytest.fixture
def refuse(decode: Callable[[bytes], Decoded], tmp_path: Path) -> Callable[[bytes], ScanError]:
    """Decode bytes that must be refused; returns the error. Nothing may be left behind."""

    def refuse(data: bytes) -> ScanError:
        with pytest.raises(ScanError) as caught:
            decode(data)
        assert not (tmp_path / "stack.npy").exists()
        assert str(tmp_path) not in caught.value.message
        assert caught.value.message.endswith(".")
        return caught.value

    return refuse

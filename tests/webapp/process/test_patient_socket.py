"""How long a thread waits for a client, and for how many of them."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from webapp.process import patient_socket
from webapp.process.patient_socket import PatientSocket, SlowClient, WaitingClients


@pytest.fixture
def pairs() -> Iterator[list[tuple[PatientSocket, socket.socket]]]:
    """Three connections of which one may keep a thread waiting: our side and the client's."""
    waiting = WaitingClients(1)
    made = []
    for _ in range(3):
        ours, client = socket.socketpair()
        made.append((PatientSocket(ours, waiting), client))
    yield made
    for pair in made:
        for side in pair:
            side.close()


def trickle(client: socket.socket, stopped: threading.Event) -> None:
    while not stopped.wait(0.02):
        client.send(b"x")


def test_bytes_that_are_there_are_read_at_once(pairs: list[tuple[PatientSocket, socket.socket]]) -> None:
    ours, client = pairs[0]
    client.sendall(b"abc")
    assert ours.recv(10) == b"abc"
    client.close()
    assert ours.recv(10) == b""


def test_a_client_that_sends_nothing_is_slow_after_a_pause(
    pairs: list[tuple[PatientSocket, socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_socket, "LONGEST_PAUSE_S", 0.05)
    with pytest.raises(SlowClient):
        pairs[0][0].recv(10)


def test_a_client_that_sends_byte_by_byte_is_slow_in_the_end(
    pairs: list[tuple[PatientSocket, socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_socket, "GRACE_S", 0.2)
    ours, client = pairs[0]
    stopped = threading.Event()
    sender = threading.Thread(target=trickle, args=(client, stopped))
    sender.start()
    try:
        began = time.monotonic()
        with pytest.raises(SlowClient):
            while time.monotonic() - began < 10:
                ours.recv(10)
    finally:
        stopped.set()
        sender.join()


def test_a_client_that_does_not_read_is_reset(
    pairs: list[tuple[PatientSocket, socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_socket, "LONGEST_PAUSE_S", 0.05)
    with pytest.raises(ConnectionResetError):
        pairs[0][0].sendall(bytes(50_000_000))


def test_all_that_is_sent_arrives_at_a_client_that_reads(pairs: list[tuple[PatientSocket, socket.socket]]) -> None:
    ours, client = pairs[0]
    data = bytes(range(256)) * 20_000
    sender = threading.Thread(target=ours.sendall, args=(data,))
    sender.start()
    got = b""
    while len(got) < len(data):
        got += client.recv(1 << 20)
    sender.join()
    assert got == data


@pytest.mark.parametrize("is_reading", [True, False])
def test_who_has_waited_longest_goes_where_another_one_waits(
    pairs: list[tuple[PatientSocket, socket.socket]], is_reading: bool
) -> None:
    (first, first_client), (second, second_client), _ = pairs
    outcome: list[BaseException] = []

    def wait_first() -> None:
        try:
            first.recv(10) if is_reading else first.sendall(bytes(50_000_000))
        except (SlowClient, ConnectionResetError) as error:
            outcome.append(error)

    waits = threading.Thread(target=wait_first)
    waits.start()
    while first not in first._waiting._waiting:
        time.sleep(0.001)
    answers = threading.Timer(0.3, second_client.sendall, args=(b"late",))
    answers.start()
    assert second.recv(10) == b"late", "the newer one keeps its place"
    waits.join(5)
    assert not waits.is_alive()
    assert isinstance(outcome[0], SlowClient if is_reading else ConnectionResetError)
    if is_reading:
        first.sendall(b"408")  # it can be told
        assert first_client.recv(10) == b"408"
    answers.join()

"""The queues between parent and workers: every message arrives whole and once, whoever reads, writes or dies."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

from pinpool.pool.packet_queue import INLINE, PacketQueue, has_packets

pytestmark = pytest.mark.skipif(not has_packets(), reason="this system has no such sockets")

CONTEXT = multiprocessing.get_context("forkserver")
LARGE = 1_000_000


@pytest.fixture
def queue() -> PacketQueue:
    return PacketQueue()


@pytest.mark.parametrize("size", [0, 1, INLINE - 100, INLINE, INLINE + 1, LARGE, 20 * LARGE])
def test_a_message_of_any_size_arrives_as_it_was(queue: PacketQueue, size: int) -> None:
    message = (1, 0, os.urandom(size))
    sender = threading.Thread(target=queue.put, args=(message,))

    sender.start()
    received = queue.get()
    sender.join(30)

    assert received == message
    assert queue.empty()


def test_messages_that_fill_the_socket_wait_and_keep_their_order(queue: PacketQueue) -> None:
    sender = threading.Thread(target=write, args=(queue, 1, 50, 60_000))

    sender.start()
    received = [queue.get()[1] for _ in range(50)]
    sender.join(30)

    assert received == list(range(50))


def test_with_several_readers_and_writers_in_processes_and_threads_each_message_arrives_once() -> None:
    queue, answers = PacketQueue(), PacketQueue()
    sizes = (10, INLINE + 1, LARGE, 1000)
    with running(*[(echo, (queue, answers))] * 3, *[(write, (queue, who, 40, sizes[who])) for who in (0, 1)]):
        writers = [threading.Thread(target=write, args=(queue, who, 40, sizes[who])) for who in (2, 3)]
        for writer in writers:
            writer.start()
        received = Counter(answers.get() for _ in range(160))
        for writer in writers:
            writer.join(30)

    assert received == Counter((who, number, sizes[who]) for who in range(4) for number in range(40))


def test_a_reader_gets_what_is_left_and_then_the_end_when_all_writers_are_gone(queue: PacketQueue) -> None:
    queue.put((1, 0, b"left"))
    queue.put((2, 0, bytes(LARGE)))
    queue._writer.close()

    assert queue.get() == (1, 0, b"left")
    assert queue.get() == (2, 0, bytes(LARGE))
    with pytest.raises(EOFError):
        queue.get()


def test_a_writer_is_told_when_no_reader_is_left(queue: PacketQueue) -> None:
    queue._reader.close()

    with pytest.raises(BrokenPipeError):
        queue.put((1, 0))
    with pytest.raises(BrokenPipeError):
        queue.put((1, 0, bytes(LARGE)))


@pytest.mark.parametrize("size", [10, 2 * INLINE])
def test_readers_and_writers_that_are_killed_stop_nobody_and_tear_no_message(size: int) -> None:
    queue, answers = PacketQueue(), PacketQueue()
    with running((echo, (queue, answers)), (echo, (queue, answers)), (write, (queue, 1, 1000, size))) as processes:
        doomed_reader, _, doomed_writer = processes
        before = [answers.get() for _ in range(20)]
        os.kill(doomed_reader.pid or 0, signal.SIGKILL)
        os.kill(doomed_writer.pid or 0, signal.SIGKILL)
        doomed_writer.join(30)
        # Beside the reading: what the first writer has left fills both queues, and then nobody would go on.
        second = threading.Thread(target=write, args=(queue, 2, 20, size))
        second.start()
        after = [answers.get()]
        while after[-1] != (2, 19, size):
            after.append(answers.get())
        second.join(30)

    received = Counter(before + after)
    assert set(received.values()) == {1}
    assert {size for _, _, size in received} == {size}
    # The one that the killed reader had in hand is lost, and nothing else.
    assert 19 <= sum(who == 2 for who, _, _ in received) <= 20


def test_a_reader_without_a_free_descriptor_learns_whose_message_it_was(queue: PacketQueue) -> None:
    queue._reader.instead = named
    queue.put((7, 0, bytes(LARGE)))
    queue.put((8, 0, b"short"))

    with no_more_files():
        received = [queue.get(), queue.get()]

    assert received == [("not this one", 7, 0), (8, 0, b"short")]


def test_a_default_timeout_of_the_users_sockets_ends_no_wait() -> None:
    socket.setdefaulttimeout(0.05)
    try:
        queue = PacketQueue()
        late = threading.Timer(0.2, queue.put, [(1, 0)])
        late.start()

        assert queue.get() == (1, 0)
    finally:
        socket.setdefaulttimeout(None)


def test_a_system_with_small_buffers_gets_its_messages_by_file(queue: PacketQueue) -> None:
    queue._writer._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    queue.put((1, 0, bytes(INLINE - 1000)))

    assert queue.get() == (1, 0, bytes(INLINE - 1000))


def test_a_user_with_too_many_descriptors_on_their_way_waits(
    queue: PacketQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [OSError(errno.ETOOMANYREFS, "Too many references")] * 3
    send = socket.send_fds

    def refuse(*arguments: Any) -> Any:
        if refused:
            raise refused.pop()
        return send(*arguments)

    monkeypatch.setattr(socket, "send_fds", refuse)
    queue.put((1, 0, bytes(LARGE)))

    assert queue.get() == (1, 0, bytes(LARGE))
    assert refused == []


def write(queue: PacketQueue, who: int, messages: int, size: int) -> None:
    for number in range(messages):
        queue.put((who, number, bytes([number % 256]) * size))


def echo(queue: PacketQueue, answers: PacketQueue) -> None:
    """Says of each message whose it was, and how long; -1 if it is torn."""
    while True:
        who, number, body = queue.get()
        answers.put((who, number, len(body) if set(body) <= {number % 256} else -1))


def named(job: int, number: int) -> tuple[str, int, int]:
    return "not this one", job, number


@contextmanager
def running(*calls: tuple[Callable[..., None], tuple[Any, ...]]) -> Iterator[list[BaseProcess]]:
    """Processes that make these calls, until the block ends."""
    processes: list[BaseProcess] = [CONTEXT.Process(target=target, args=arguments) for target, arguments in calls]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join(30)
            process.close()


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open no more files."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

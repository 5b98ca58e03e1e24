"""Holdfast from Python, with nothing but stubs made from the proto and their default settings.

Checks itself: exits with an error when what was read is not what was written. Run it by run.sh.
"""

import os
import queue
import sys
import time
import uuid

import grpc
from holdfast.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    transactions_pb2,
    transactions_pb2_grpc,
    types_pb2,
)

SERVER = os.environ.get("HOLDFAST_SERVER", "localhost:7401").split(",")[0]
LARGEST_MESSAGE_BYTES = 4_000_000
TIMEOUT_S = 30


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def refusal(call, request):
    """The reason of the error that the call must end with."""
    try:
        call(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        trailers = {key: value for key, value in error.trailing_metadata() or ()}
        return error.code(), trailers.get("holdfast-reason")
    return None, None


def produce_and_fetch(log, topic):
    messages = [
        types_pb2.Message(key=f"k{i}", body=f"hello {i} ä".encode(), properties={"n": str(i)})
        for i in range(10)
    ]
    request = log_pb2.ProduceRequest(topic=topic, queue=0, messages=messages)
    ack = log.Produce(request, timeout=TIMEOUT_S)
    check(ack.base_offset == 0 and ack.count == 10, "produced ten messages")
    check(ack.durability == types_pb2.MAJORITY_FSYNC, "acknowledged at MAJORITY_FSYNC")
    answer = log.Fetch(log_pb2.FetchRequest(topic=topic, queue=0), timeout=TIMEOUT_S)
    fetched = [message for batch in answer.batches for message in batch.messages]
    check(fetched == messages, "fetched the same ten messages")
    check(answer.next_offset == 10 == answer.end_offset, "next and end offset are 10")
    wait = log_pb2.FetchRequest(topic=topic, queue=0, offset=10, max_wait_ms=200)
    answer = log.Fetch(wait, timeout=TIMEOUT_S)
    check(not answer.batches and answer.end_offset == 10, "a long poll ends empty and in order")


def safe_retry(log, topic):
    request = log_pb2.ProduceRequest(
        topic=topic,
        queue=1,
        producer_id=f"python-{uuid.uuid4()}",
        sequence=0,
        messages=[types_pb2.Message(body=b"once")],
    )
    first = log.Produce(request, timeout=TIMEOUT_S)
    again = log.Produce(request, timeout=TIMEOUT_S)
    check(again.duplicate and not first.duplicate, "a repeated request is known as such")
    check(again.base_offset == first.base_offset, "and gets the first answer")


def sizes(log, topic):
    overhead = types_pb2.Message(body=b"x" * LARGEST_MESSAGE_BYTES).ByteSize()
    overhead -= LARGEST_MESSAGE_BYTES
    body = b"x" * (LARGEST_MESSAGE_BYTES - overhead)
    largest = types_pb2.Message(body=body)
    request = log_pb2.ProduceRequest(topic=topic, queue=2, messages=[largest])
    ack = log.Produce(request, timeout=TIMEOUT_S)
    fetch = log_pb2.FetchRequest(topic=topic, queue=2, offset=ack.base_offset)
    answer = log.Fetch(fetch, timeout=TIMEOUT_S)
    check(answer.batches[0].messages[0].body == body, "the largest message came back whole")
    request.messages[0].body = body + b"x"
    code, reason = refusal(log.Produce, request)
    check(code == grpc.StatusCode.INVALID_ARGUMENT, f"one byte more is refused: {reason}")
    check(reason == "MESSAGE_TOO_LARGE", "with its reason")


def subscribe(log, topic):
    frames = queue.Queue()
    start = log_pb2.SubscribeStart(
        topic=topic, queues=[log_pb2.QueueOffset(queue=0, offset=4)], credit=2
    )
    frames.put(log_pb2.SubscribeRequest(start=start))
    stream = log.Subscribe(iter(frames.get, None), timeout=TIMEOUT_S)
    bodies = []
    for frame in stream:
        messages = [message for batch in frame.batches for message in batch.messages]
        bodies += [message.body.decode() for message in messages]
        if len(bodies) == 2:
            frames.put(log_pb2.SubscribeRequest(credit=4))
        if len(bodies) == 6:
            break
    stream.cancel()
    frames.put(None)
    check(bodies == [f"hello {i} ä" for i in range(4, 10)], "subscribed from offset 4 by credits")


def offsets(log, topic):
    group = f"python-{uuid.uuid4()}"
    place = log_pb2.QueueOffset(queue=0, offset=7)
    commit = log_pb2.CommitOffsetRequest(group=group, topic=topic, offsets=[place])
    log.CommitOffset(commit, timeout=TIMEOUT_S)
    get = log_pb2.GetOffsetRequest(group=group, topic=topic, queues=[0])
    place = log.GetOffset(get, timeout=TIMEOUT_S).queues[0]
    check(place.offset == 7 and place.lag == 3, "a committed offset is read back")


def transaction(log, transactions, topic):
    group = f"python-{uuid.uuid4()}"

    def prepare(text):
        message = types_pb2.Message(body=text)
        part = transactions_pb2.HalfBatch(topic=topic, queue=1, messages=[message])
        request = transactions_pb2.PrepareRequest(producer_group=group, parts=[part])
        return transactions.Prepare(request, timeout=TIMEOUT_S).transaction_id

    def end(transaction_id, decision):
        request = transactions_pb2.EndRequest(
            producer_group=group, transaction_id=transaction_id, decision=decision
        )
        return transactions.End(request, timeout=TIMEOUT_S)

    def visible():
        request = log_pb2.FetchRequest(topic=topic, queue=1, offset=1, linearizable=True)
        answer = log.Fetch(request, timeout=TIMEOUT_S)
        return [message.body for batch in answer.batches for message in batch.messages]

    committed, rolled_back, forgotten = prepare(b"paid"), prepare(b"declined"), prepare(b"asked")
    check(visible() == [], "half messages are invisible")
    ended = end(committed, transactions_pb2.COMMIT)
    check(ended.state == transactions_pb2.COMMITTED, "committed")
    check(ended.parts[0].base_offset == 1, "at the next offset of its queue")
    end(rolled_back, transactions_pb2.ROLLBACK)
    check(visible() == [b"paid"], "the committed one is visible, the others are not")
    poll = transactions_pb2.PollChecksRequest(producer_group=group, max_wait_ms=20_000)
    started = time.monotonic()
    checks = transactions.PollChecks(poll, timeout=TIMEOUT_S).checks
    waited = time.monotonic() - started
    check([one.transaction_id for one in checks] == [forgotten], f"asked back after {waited:.1f} s")
    check(checks[0].parts[0].messages[0].body == b"asked", "with the message")
    end(forgotten, transactions_pb2.COMMIT)
    check(visible() == [b"paid", b"asked"], "the answer decided")


def main():
    topic = f"example-python-{uuid.uuid4()}"
    with grpc.insecure_channel(SERVER) as channel:
        log = log_pb2_grpc.LogStub(channel)
        admin = admin_pb2_grpc.AdminStub(channel)
        transactions = transactions_pb2_grpc.TransactionsStub(channel)
        code, reason = refusal(log.Fetch, log_pb2.FetchRequest(topic=topic))
        check(code == grpc.StatusCode.NOT_FOUND, f"an unknown topic is refused: {reason}")
        create = admin_pb2.CreateTopicRequest(name=topic, queue_count=3)
        admin.CreateTopic(create, timeout=TIMEOUT_S)
        produce_and_fetch(log, topic)
        safe_retry(log, topic)
        sizes(log, topic)
        subscribe(log, topic)
        offsets(log, topic)
        transaction(log, transactions, topic)
        admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name=topic), timeout=TIMEOUT_S)
    print("all checks passed")


if __name__ == "__main__":
    main()

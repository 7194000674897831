"""What a client may ask of the server, each bound in one place, and how a refusal is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT, PositiveFloat, PositiveInt


class Refused(Exception):
    """A request that is not answered: a status of HTTP and one sentence for its sender."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Limits:
    """Bounds of what one client, and all of them together, may take.

    Attributes:
        file_bytes: of an audio file.
        file_seconds: of its audio.
        file_channels: of its channels.
        body_s: time for sending a body.
        decode_s: time for decoding a file; the process that does it is ended then.
        decoders: processes that decode files.
        decoder_bytes: memory that one of them may ask for.
        waiting: files that wait for one of them.
        waiting_bytes: of all of these together.
        wait_s: how long a file waits for one.
        connections: open at once, of all clients.
        connections_per_address: of one address.
        idle_s: how long a connection may stay open without a whole request.
        requests_per_s: files an address may send each second, in the long run.
        requests_at_once: how many of them may come together.
        listeners: streams that are listened to at once.
        listeners_per_address: of one address.
        ahead_s: how far a stream may be ahead of real time.
        behind_s: of sound that waits for the network; what is later is left out.
        silent_s: how long a listener may send nothing.
        send_s: time for a listener to take what it is sent.
    """

    file_bytes: PositiveInt = 10_000_000
    file_seconds: PositiveFloat = 60.0
    file_channels: PositiveInt = 8
    body_s: PositiveFloat = 20.0
    decode_s: PositiveFloat = 20.0
    decoders: PositiveInt = 2
    decoder_bytes: PositiveInt = 2_000_000_000
    waiting: PositiveInt = 200
    waiting_bytes: PositiveInt = 200_000_000
    wait_s: PositiveFloat = 20.0
    connections: PositiveInt = 256
    connections_per_address: PositiveInt = 32
    idle_s: PositiveFloat = 15.0
    requests_per_s: PositiveFloat = 20.0
    requests_at_once: PositiveInt = 40
    listeners: PositiveInt = 8
    listeners_per_address: PositiveInt = 4
    ahead_s: PositiveFloat = 5.0
    behind_s: PositiveFloat = 3.0
    silent_s: PositiveFloat = 20.0
    send_s: PositiveFloat = 5.0


def limits_of(changed: Sequence[str]) -> Limits:
    """The bounds, some of them changed.

    Args:
        changed: such as "listeners=20".

    Raises:
        DataError: there is no such bound, or its value is out of range.
    """
    known, given = [field.name for field in fields(Limits)], {}
    for name, _, value in (each.partition("=") for each in changed):
        if name not in known:
            raise DataError(f"there is no limit {name!r}; the limits are {', '.join(known)}")
        try:
            given[name] = json.loads(value)
        except ValueError as error:
            raise DataError(f"limit {name}: got {value!r}, expected a number") from error
    try:
        limits: Limits = TypeAdapter(Limits).validate_json(json.dumps(given))
    except ValidationError as error:
        [problem, *_] = error.errors()
        message = f"got {problem['input']!r}, {problem['msg'][0].lower()}{problem['msg'][1:]}"
        raise DataError(f"limit {problem['loc'][0]}: {message}") from error
    return limits

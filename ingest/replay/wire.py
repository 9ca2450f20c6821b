"""What both vendors' wire formats share: replies, queries, and the pages of one answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer.

    Attributes:
        status: Status code.
        body: The body.
        headers: Headers beside type and length.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(content: Any, status: int = 200) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, orjson.dumps(content))


class Refusal(Exception):
    """A request that the vendor would not serve.

    Args:
        reply: What it answers instead.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply

"""A Logon: what ours says, and whether the peer's may be let in."""

from __future__ import annotations

from typing import Final, NamedTuple

from fix.codec import Message
from fix.session_checks import Ending, int_of
from fix.session_config import SessionConfig
from fix.session_state import TRANSITIONS, Input, Role, State
from fix.tags import Tag

HEARTBEAT_S_MAX: Final = 3600


class Logon(NamedTuple):
    """What a Logon of the peer asks for. `expected`: the number that it expects next of us (789); 0 when it
    does not say, or we are not to look."""

    heartbeat_s: int
    reset: bool
    expected: int


def read_logon(config: SessionConfig, state: State, message: Message) -> Logon:
    """Raises Ending for one that can't be granted, Violation and MissingTag for one that can't be read."""
    heartbeat_s = int_of(message, Tag.HeartBtInt)
    reset = message.get(Tag.ResetSeqNumFlag) == "Y"
    if heartbeat_s > HEARTBEAT_S_MAX:
        raise Ending(f"HeartBtInt (108) is {heartbeat_s}; send 0 to {HEARTBEAT_S_MAX}")
    if (state, Input.LOGON) not in TRANSITIONS or (state is State.ACTIVE and not reset):
        raise Ending("Logon while logged on; log out first, or send 141=Y")
    if reset and message.seq != 1:
        raise Ending(f"with 141=Y MsgSeqNum must be 1, not {message.seq}")
    if config.appl_ver_id:
        version = message.require(Tag.DefaultApplVerID)
        if version != config.appl_ver_id:
            raise Ending(f"DefaultApplVerID (1137) is {version}; this session speaks {config.appl_ver_id}")
    looks = config.next_expected and message.get(Tag.NextExpectedMsgSeqNum) is not None
    return Logon(heartbeat_s, reset, int_of(message, Tag.NextExpectedMsgSeqNum) if looks else 0)


def logon_fields(
    config: SessionConfig, heartbeat_s: int, reset: bool, seq: int, time_text: str, next_in: int
) -> list[tuple[int, str]]:
    """The body of our Logon with number `seq` and SendingTime `time_text`."""
    fields: list[tuple[int, str]] = [(Tag.EncryptMethod, "0"), (Tag.HeartBtInt, str(heartbeat_s))]
    if reset:
        fields.append((Tag.ResetSeqNumFlag, "Y"))
    if config.sign is not None:
        fields += config.sign(seq, time_text)
    if config.role is Role.INITIATOR:
        fields += config.logon_fields
    if config.next_expected:
        fields.append((Tag.NextExpectedMsgSeqNum, str(next_in)))
    if config.appl_ver_id:
        fields.append((Tag.DefaultApplVerID, config.appl_ver_id))
    return fields


def resend_after_logon(expected: int, logon_seq: int, is_answer: bool) -> int:
    """From which number on the peer lacks messages when both Logons are through.

    Behind our Logon come those that were sent while it was under way: numbered and stored, not written. With
    `expected` (789) it may lack what is before it too, and then the Logon is passed over by the same gap fill;
    but if our Logon is an answer, and no more is lacking than that, it is about to be read.
    """
    if expected == 0 or expected > logon_seq or (is_answer and expected == logon_seq):
        return logon_seq + 1
    return expected

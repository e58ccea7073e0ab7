"""FIX names: the tags and message types that this engine uses, under their names of the standard.

A tag stands here once it is used. Values that FIX shares with the records (Side, OrdType, OrdStatus,
ExecType, TimeInForce) are in `core/records.py`, as the same characters.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class Tag(IntEnum):
    """Tag numbers. They compare and index as plain integers, so an unnamed tag is no special case."""

    Account = 1
    AvgPx = 6
    BeginSeqNo = 7
    BeginString = 8
    BodyLength = 9
    CheckSum = 10
    ClOrdID = 11
    CumQty = 14
    EndSeqNo = 16
    ExecID = 17
    ExecRefID = 19
    ExecTransType = 20
    HandlInst = 21
    LastPx = 31
    LastQty = 32
    MsgSeqNum = 34
    MsgType = 35
    NewSeqNo = 36
    OrderID = 37
    OrderQty = 38
    OrdStatus = 39
    OrdType = 40
    OrigClOrdID = 41
    PossDupFlag = 43
    Price = 44
    RefSeqNum = 45
    SenderCompID = 49
    SendingTime = 52
    Side = 54
    Symbol = 55
    TargetCompID = 56
    Text = 58
    TimeInForce = 59
    TransactTime = 60
    PossResend = 97
    EncryptMethod = 98
    StopPx = 99
    CxlRejReason = 102
    OrdRejReason = 103
    HeartBtInt = 108
    TestReqID = 112
    OnBehalfOfCompID = 115
    OnBehalfOfSubID = 116
    OrigSendingTime = 122
    GapFillFlag = 123
    ExpireTime = 126
    DeliverToCompID = 128
    DeliverToSubID = 129
    ResetSeqNumFlag = 141
    OnBehalfOfLocationID = 144
    DeliverToLocationID = 145
    ExecType = 150
    LeavesQty = 151
    SubscriptionRequestType = 263
    SecurityStatusReqID = 324
    SecurityTradingStatus = 326
    LastMsgSeqNumProcessed = 369
    RefTagID = 371
    RefMsgType = 372
    SessionRejectReason = 373
    ExecRestatementReason = 378
    BusinessRejectRefID = 379
    BusinessRejectReason = 380
    CxlRejResponseTo = 434
    TradeReportTransType = 487
    MassCancelRequestType = 530
    MassCancelResponse = 531
    MassCancelRejectReason = 532
    TotalAffectedOrders = 533
    Username = 553
    Password = 554
    TradeReportID = 571
    MassStatusReqID = 584
    MassStatusReqType = 585
    TradeReportRejectReason = 751
    NextExpectedMsgSeqNum = 789
    CopyMsgIndicator = 797
    TotNumReports = 911
    LastRptRequested = 912
    TrdRptStatus = 939
    ApplVerID = 1128
    DefaultApplVerID = 1137


class MsgType(StrEnum):
    Heartbeat = "0"
    TestRequest = "1"
    ResendRequest = "2"
    Reject = "3"
    SequenceReset = "4"
    Logout = "5"
    ExecutionReport = "8"
    OrderCancelReject = "9"
    Logon = "A"
    NewOrderSingle = "D"
    OrderCancelRequest = "F"
    BusinessMessageReject = "j"
    OrderCancelReplaceRequest = "G"
    OrderStatusRequest = "H"
    TradeCaptureReport = "AE"
    OrderMassStatusRequest = "AF"
    TradeCaptureReportAck = "AR"
    SecurityStatusRequest = "e"
    SecurityStatus = "f"
    OrderMassCancelRequest = "q"
    OrderMassCancelReport = "r"


# Never sent again: a resend passes over them with a gap fill (FIX session layer, 4.8.4 "Messages not to be
# resent").
ADMIN_TYPES: Final = frozenset("012345A")

# Fields of the standard header besides 8, 9 and 35 that the session writes itself.
HEADER_TAGS: Final = frozenset(
    (
        Tag.MsgSeqNum,
        Tag.PossDupFlag,
        Tag.SenderCompID,
        Tag.SendingTime,
        Tag.TargetCompID,
        Tag.OrigSendingTime,
        Tag.LastMsgSeqNumProcessed,
    )
)
# ... and those that an application may give with its fields; the session puts them into the header. SenderSubID
# 50, TargetSubID 57, SenderLocationID 142, TargetLocationID 143 and ApplVerID 1128 among them; the group of
# hops is not.
APPLICATION_HEADER_TAGS: Final = frozenset(
    (50, 57, 97, 115, 116, 128, 129, 142, 143, 144, 145, 347, 1128, 1129)
)

# Who a message came on behalf of, and where its answer goes (vol. 1, "Third party message routing").
REVERSE_ROUTES: Final = {
    Tag.OnBehalfOfCompID: Tag.DeliverToCompID,
    Tag.OnBehalfOfSubID: Tag.DeliverToSubID,
    Tag.OnBehalfOfLocationID: Tag.DeliverToLocationID,
    Tag.DeliverToCompID: Tag.OnBehalfOfCompID,
    Tag.DeliverToSubID: Tag.OnBehalfOfSubID,
    Tag.DeliverToLocationID: Tag.OnBehalfOfLocationID,
}


class RejectReason(IntEnum):
    """SessionRejectReason (373)."""

    INVALID_TAG_NUMBER = 0
    REQUIRED_TAG_MISSING = 1
    TAG_NOT_DEFINED_FOR_TYPE = 2
    TAG_WITHOUT_VALUE = 4
    VALUE_INCORRECT = 5
    INCORRECT_DATA_FORMAT = 6
    COMP_ID_PROBLEM = 9
    SENDING_TIME_ACCURACY = 10
    INVALID_MSG_TYPE = 11
    TAG_REPEATED = 13
    TAG_OUT_OF_ORDER = 14
    GROUP_OUT_OF_ORDER = 15
    INCORRECT_NUM_IN_GROUP = 16
    UNSUPPORTED_APPL_VERSION = 18


# The standard's English of 373; QuickFIX sends the same words, so people find them.
REJECT_TEXT: Final = {
    RejectReason.INVALID_TAG_NUMBER: "Invalid tag number",
    RejectReason.REQUIRED_TAG_MISSING: "Required tag missing",
    RejectReason.TAG_NOT_DEFINED_FOR_TYPE: "Tag not defined for this message type",
    RejectReason.TAG_WITHOUT_VALUE: "Tag specified without a value",
    RejectReason.VALUE_INCORRECT: "Value is incorrect (out of range) for this tag",
    RejectReason.INCORRECT_DATA_FORMAT: "Incorrect data format for value",
    RejectReason.COMP_ID_PROBLEM: "CompID problem",
    RejectReason.SENDING_TIME_ACCURACY: "SendingTime accuracy problem",
    RejectReason.INVALID_MSG_TYPE: "Invalid MsgType",
    RejectReason.TAG_REPEATED: "Tag appears more than once",
    RejectReason.TAG_OUT_OF_ORDER: "Tag specified out of required order",
    RejectReason.GROUP_OUT_OF_ORDER: "Repeating group fields out of order",
    RejectReason.INCORRECT_NUM_IN_GROUP: "Incorrect NumInGroup count for repeating group",
    RejectReason.UNSUPPORTED_APPL_VERSION: "Invalid/Unsupported Application Version",
}

# The highest reason that a version has; a message with a later one's says it in Text (58) alone.
REJECT_REASON_MAX: Final = {"FIX.4.0": -1, "FIX.4.1": -1, "FIX.4.2": 11, "FIX.4.3": 17, "FIX.4.4": 17}


class BusinessReason(IntEnum):
    """BusinessRejectReason (380)."""

    OTHER = 0
    UNKNOWN_ID = 1
    UNSUPPORTED_MESSAGE_TYPE = 3
    APPLICATION_NOT_AVAILABLE = 4
    CONDITIONALLY_REQUIRED_FIELD_MISSING = 5


class OrdRejReason(IntEnum):
    """OrdRejReason (103), the values of FIX 4.4; a validating peer refuses any other."""

    BROKER_OPTION = 0
    UNKNOWN_SYMBOL = 1
    EXCHANGE_CLOSED = 2
    ORDER_EXCEEDS_LIMIT = 3
    UNKNOWN_ORDER = 5
    DUPLICATE_ORDER = 6
    UNSUPPORTED_ORDER_CHARACTERISTIC = 11
    INCORRECT_QUANTITY = 13
    UNKNOWN_ACCOUNT = 15
    OTHER = 99


class CxlRejReason(IntEnum):
    """CxlRejReason (102)."""

    TOO_LATE_TO_CANCEL = 0
    UNKNOWN_ORDER = 1
    BROKER_OPTION = 2
    ALREADY_PENDING = 3
    DUPLICATE_CL_ORD_ID = 6
    OTHER = 99

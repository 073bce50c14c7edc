"""What the fake bank is asked for, and why it refuses."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import schwifty
from lxml import etree

from flowlink.payouts import xml_schemas
from flowlink.payouts.xml_schemas import BadXml

MESSAGE = "pain.001.001.09"
AMOUNT_MAX = Decimal("999999999.99")
NAME_MAX, TEXT_MAX = 70, 140
# EPC 217-08: what every bank of the scheme can carry.
_LETTERS = re.compile(r"[A-Za-z0-9/?:().,'+ -]*")
# ISO 20022's external codes (ExternalStatusReason1Code).
BAD_ACCOUNT, BAD_AMOUNT, BAD_CURRENCY, BAD_TEXT = "AC01", "AM02", "AM03", "FF01"
DUPLICATE, BAD_SUM, BAD_COUNT, BAD_DAY = "AM05", "AM10", "AM18", "DT01"


@dataclass(frozen=True, slots=True)
class Order:
    """One credit transfer as it stands in the file."""

    end_to_end_id: str
    amount: Decimal
    currency: str
    name: str
    iban: str
    text: str

    @property
    def refused(self) -> str:
        """Why the scheme does not carry it, as a code; empty if it does."""
        if self.currency != "EUR":
            return BAD_CURRENCY
        if not 0 < self.amount <= AMOUNT_MAX or self.amount.as_tuple().exponent != -2:
            return BAD_AMOUNT
        if not is_account(self.iban):
            return BAD_ACCOUNT
        if len(self.name) > NAME_MAX or len(self.text) > TEXT_MAX:
            return BAD_TEXT
        return "" if _LETTERS.fullmatch(self.name + self.text) else BAD_TEXT


@dataclass(frozen=True, slots=True)
class Message:
    """A file of orders, with what it says of itself."""

    message_id: str
    payment_id: str
    iban: str
    due: date
    orders: tuple[Order, ...]
    counts: frozenset[int]
    sums: frozenset[Decimal]

    @property
    def stem(self) -> str:
        """What its answers' file names begin with."""
        return re.sub(r"[^A-Za-z0-9-]", "_", self.message_id)

    def refused(self, *, known: bool, today: date) -> str:
        """Why nothing of it is carried out, as a code; empty if it can be.

        `known`: the bank has had it before.
        """
        names = Counter(order.end_to_end_id for order in self.orders)
        if known or max(names.values()) > 1:
            return DUPLICATE
        if self.counts != {len(self.orders)}:
            return BAD_COUNT
        if self.sums != {sum(order.amount for order in self.orders)}:
            return BAD_SUM
        if self.due < today:
            return BAD_DAY
        return "" if is_account(self.iban) else BAD_ACCOUNT


def read(body: bytes) -> Message:
    """:raises BadXml: not such a message, or not valid by its schema: a bank takes no such file."""
    root = xml_schemas.parse(body)
    message = xml_schemas.message_of(root)
    if message != MESSAGE:
        raise BadXml(problem=f"{message} is not {MESSAGE}")
    xml_schemas.check(root, message)
    blocks = root.findall(".//{*}PmtInf")
    if len(blocks) != 1:
        raise BadXml(problem="more than one block of payments")
    block = blocks[0]
    return Message(
        message_id=_text(root, ".//{*}GrpHdr/{*}MsgId"),
        payment_id=_text(block, "{*}PmtInfId"),
        iban=_text(block, "{*}DbtrAcct/{*}Id/{*}IBAN"),
        due=date.fromisoformat(_text(block, "{*}ReqdExctnDt/{*}Dt")),
        orders=tuple(map(_order, block.iterfind("{*}CdtTrfTxInf"))),
        counts=frozenset(int(found.text or "") for found in root.iterfind(".//{*}NbOfTxs")),
        sums=frozenset(Decimal(found.text or "") for found in root.iterfind(".//{*}CtrlSum")),
    )


def is_account(iban: str) -> bool:
    """Whether it is an account that the scheme reaches."""
    try:
        return bool(schwifty.IBAN(iban, validate_bban=True).in_sepa_zone)
    except ValueError:
        return False


def _order(found: etree._Element) -> Order:
    amount = found.find("{*}Amt/{*}InstdAmt")
    assert amount is not None, "the schema asks for it or an equivalent"
    return Order(
        end_to_end_id=_text(found, "{*}PmtId/{*}EndToEndId"),
        amount=Decimal(amount.text or "0"),
        currency=amount.get("Ccy", ""),
        name=_text(found, "{*}Cdtr/{*}Nm"),
        iban=_text(found, "{*}CdtrAcct/{*}Id/{*}IBAN"),
        text=_text(found, "{*}RmtInf/{*}Ustrd"),
    )


def _text(found: etree._Element, path: str) -> str:
    return found.findtext(path) or ""

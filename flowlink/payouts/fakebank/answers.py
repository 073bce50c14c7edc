"""The fake bank's files: a status report, and statements of what it booked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from lxml import etree
from lxml.builder import ElementMaker

from flowlink.payouts import xml_schemas
from flowlink.payouts.fakebank.orders import MESSAGE, Message, Order

REPORT, STATEMENT = "pain.002.001.03", "camt.053.001.08"
_OPENING = Decimal("100000.00")
_CLOSED = "AC04"
# What becomes of an order by the word in its receiver's name.
_REJECTED, _RETURNED, _WAITING = "rejected", "returned", "waiting"


class Says(StrEnum):
    """A bank's word for an order or a booking (ISO 20022)."""

    REJECTED = "RJCT"
    ACCEPTED = "ACSP"
    PENDING = "PDNG"
    DEBIT = "DBIT"
    CREDIT = "CRDT"


@dataclass(frozen=True, slots=True)
class File:
    """One file to be fetched from the bank."""

    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Booking:
    """A line of a statement; money that comes back has a `reason`."""

    order: Order
    says: Says
    reason: str = ""


def of(message: Message, *, known: bool, now: datetime) -> list[File]:
    """What the bank answers, in the order in which it does; `known`: it had the message before."""
    whole = message.refused(known=known, today=now.date())
    name = f"{message.stem}-again" if known else message.stem
    files = [File(f"{name}-report.xml", _report(message, name, whole, now))]
    if whole:
        return files
    taken = [order for order in message.orders if _says(order)[0] is Says.ACCEPTED]
    sent = [_Booking(order, Says.DEBIT) for order in taken]
    back = [_Booking(order, Says.CREDIT, _CLOSED) for order in taken if _comes_back(order)]
    opening = _OPENING
    for kind, bookings, day in (
        ("statement", sent, message.due),
        ("returns", back, message.due + timedelta(days=1)),
    ):
        if bookings:
            body = _statement(f"{name}-{kind}"[:35], message, bookings, opening, day)
            files.append(File(f"{name}-{kind}.xml", body))
            opening += _moved(bookings)
    return files


def _says(order: Order) -> tuple[Says, str]:
    """What is reported of one order, and its reason."""
    if order.refused:
        return Says.REJECTED, order.refused
    name = order.name.lower()
    if _REJECTED in name:
        return Says.REJECTED, _CLOSED
    return (Says.PENDING, "") if _WAITING in name else (Says.ACCEPTED, "")


def _comes_back(order: Order) -> bool:
    return _RETURNED in order.name.lower()


def _report(message: Message, name: str, whole: str, now: datetime) -> bytes:
    e = _maker(REPORT)
    group = e.OrgnlGrpInfAndSts(e.OrgnlMsgId(message.message_id), e.OrgnlMsgNmId(MESSAGE))
    report = e.CstmrPmtStsRpt(e.GrpHdr(e.MsgId(name[:35]), e.CreDtTm(_moment(now))), group)
    if whole:
        group.append(e.GrpSts(Says.REJECTED))
        group.append(_reason(e, whole))
    else:
        block = e.OrgnlPmtInfAndSts(e.OrgnlPmtInfId(message.payment_id))
        block.extend(_reported(e, order) for order in message.orders)
        report.append(block)
    return _file(e.Document(report), REPORT)


def _reported(e: Any, order: Order) -> Any:
    says, reason = _says(order)
    found = e.TxInfAndSts(e.OrgnlEndToEndId(order.end_to_end_id), e.TxSts(says))
    if reason:
        found.append(_reason(e, reason))
    return found


def _reason(e: Any, code: str) -> Any:
    return e.StsRsnInf(e.Rsn(e.Cd(code)))


def _statement(
    name: str, message: Message, bookings: Sequence[_Booking], opening: Decimal, day: date
) -> bytes:
    e = _maker(STATEMENT)
    moment = f"{day.isoformat()}T20:00:00Z"
    statement = e.Stmt(
        e.Id(name),
        e.CreDtTm(moment),
        e.Acct(e.Id(e.IBAN(message.iban))),
        _balance(e, "OPBD", opening, day),
        _balance(e, "CLBD", opening + _moved(bookings), day),
        *_entries(e, name, bookings, day),
    )
    header = e.GrpHdr(e.MsgId(name), e.CreDtTm(moment))
    return _file(e.Document(e.BkToCstmrStmt(header, statement)), STATEMENT)


def _entries(e: Any, name: str, bookings: Sequence[_Booking], day: date) -> Iterator[Any]:
    for number, one in enumerate(bookings, 1):
        amount = e.Amt(str(one.order.amount), Ccy="EUR")
        details = e.TxDtls(
            e.Refs(e.EndToEndId(one.order.end_to_end_id)),
            e.Amt(str(one.order.amount), Ccy="EUR"),
            e.CdtDbtInd(one.says),
        )
        if one.reason:
            details.append(e.RtrInf(e.Rsn(e.Cd(one.reason))))
        yield e.Ntry(
            amount,
            e.CdtDbtInd(one.says),
            e.Sts(e.Cd("BOOK")),
            e.BookgDt(e.Dt(day.isoformat())),
            e.AcctSvcrRef(f"{name[-28:]}-{number}"),
            e.BkTxCd(e.Domn(e.Cd("PMNT"), e.Fmly(e.Cd("ICDT"), e.SubFmlyCd("ESCT")))),
            e.NtryDtls(details),
        )


def _balance(e: Any, kind: str, amount: Decimal, day: date) -> Any:
    return e.Bal(
        e.Tp(e.CdOrPrtry(e.Cd(kind))),
        e.Amt(str(abs(amount)), Ccy="EUR"),
        e.CdtDbtInd(Says.CREDIT if amount >= 0 else Says.DEBIT),
        e.Dt(e.Dt(day.isoformat())),
    )


def _moved(bookings: Sequence[_Booking]) -> Decimal:
    return sum(
        (one.order.amount if one.says is Says.CREDIT else -one.order.amount for one in bookings),
        Decimal(0),
    )


def _maker(message: str) -> Any:
    namespace = xml_schemas.NAMESPACE + message
    return ElementMaker(namespace=namespace, nsmap={None: namespace})


def _file(document: etree._Element, message: str) -> bytes:
    xml_schemas.check(document, message)
    return bytes(
        etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    )


def _moment(now: datetime) -> str:
    return f"{now:%Y-%m-%dT%H:%M:%SZ}"

"""Banks' answers as lines: `pain.002` (what became of orders) and `camt.053` (what was booked).

Read by the names of elements, so that every version of a message is understood; held against the
published schema where we have that version (schemas/README.md). What we read is checked in every
version: a word that is no status or no direction refuses the file.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from lxml import etree

from flowlink.payouts import xml_schemas
from flowlink.payouts.run_models import AnswerKind
from flowlink.payouts.xml_schemas import BadXml
from flowlink.web.i18n import mark

REJECTED = "RJCT"
DEBIT, CREDIT, RETURN = "DBIT", "CRDT", "RTRN"
LINES_MAX = 50_000
_STATUS = re.compile(r"[A-Z0-9]{4}")  # as in ISO 20022's external code sets
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BODIES = {AnswerKind.STATUS_REPORT: "CstmrPmtStsRpt", AnswerKind.STATEMENT: "BkToCstmrStmt"}
# ISO 20022 external codes that banks give for a transfer that fails (ExternalStatusReason1Code).
REASONS = {
    "AC01": mark("The account number is wrong."),
    "AC03": mark("The account number is wrong."),
    "AC04": mark("The account is closed."),
    "AC06": mark("The account is blocked."),
    "AG01": mark("The account does not take such transfers."),
    "AG02": mark("The account does not take such transfers."),
    "AM02": mark("The bank does not carry such an amount."),
    "AM03": mark("The bank does not carry this currency."),
    "AM04": mark("Our account had too little money."),
    "AM05": mark("The bank takes it for a duplicate."),
    "AM10": mark("The sum in the file is wrong."),
    "AM18": mark("The count in the file is wrong."),
    "BE01": mark("The name does not belong to the account."),
    "BE04": mark("The address of the account's holder is missing."),
    "CUST": mark("The order was called off."),
    "DT01": mark("The day to pay on is wrong."),
    "DUPL": mark("The bank takes it for a duplicate."),
    "FF01": mark("The bank could not read the order."),
    "MD07": mark("The account's holder has died."),
    "MS02": mark("The account's holder refused the money."),
    "MS03": mark("The bank gave no reason."),
    "RC01": mark("The bank's identifier is wrong."),
    "RR04": mark("The bank has to refuse it by law."),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing a bank says. `batch` names our message where it speaks of all of it at once;
    `iban` is the account that a statement is about, where it has one. A credit without a `reason`
    may be anybody's.
    """

    key: str
    says: str
    end_to_end_id: str = ""
    batch: str = ""
    count: int | None = None
    cents: int | None = None
    currency: str = ""
    booked_on: date | None = None
    reference: str = ""
    reason: str = ""
    iban: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a file holds."""

    kind: AnswerKind
    lines: tuple[Line, ...]


def read(body: bytes) -> Answer:
    """:raises BadXml: not one of the two messages, not valid, or hostile."""
    root = xml_schemas.parse(body)
    message = xml_schemas.message_of(root)
    kinds = {"pain.002.": AnswerKind.STATUS_REPORT, "camt.053.": AnswerKind.STATEMENT}
    kind = next((kind for start, kind in kinds.items() if message.startswith(start)), None)
    if kind is None:
        raise BadXml(problem=f"{message} is neither pain.002 nor camt.053")
    xml_schemas.check(root, message)
    if root.find(f"{{*}}{_BODIES[kind]}") is None:
        raise BadXml(problem=f"{message} without its {_BODIES[kind]}")
    found = _report(root) if kind is AnswerKind.STATUS_REPORT else _statement(root)
    lines = tuple(found)
    if len(lines) > LINES_MAX:
        raise BadXml(problem=f"more than {LINES_MAX} lines")
    return Answer(kind=kind, lines=lines)


def sentence(code: str, told: str = "") -> str:
    """A bank's reason in words; a code that we do not know is shown as it is."""
    return REASONS.get(code) or " ".join(part for part in (code, told) if part) or REASONS["MS03"]


def _report(root: etree._Element) -> Iterator[Line]:
    report = _text(root, ".//{*}GrpHdr/{*}MsgId")
    group = root.find(".//{*}OrgnlGrpInfAndSts")
    batch = "" if group is None else _text(group, "{*}OrgnlMsgId")
    whole = "" if group is None else _text(group, "{*}GrpSts")
    if group is not None and whole:
        yield _status(group, report, says=whole, batch=batch)
    for block in root.iterfind(".//{*}OrgnlPmtInfAndSts"):
        named = _text(block, "{*}OrgnlPmtInfId")
        says = _text(block, "{*}PmtInfSts")
        if says:
            yield _status(block, report, says=says, batch=named or batch)
        for one in block.iterfind("{*}TxInfAndSts"):
            yield from _order(one, report, covered=bool(says or whole))


def _order(one: etree._Element, report: str, *, covered: bool) -> Iterator[Line]:
    """What a report says of one order. Without a status of its own a reason means a refusal, and
    nothing means what was said of the whole.
    """
    says = _text(one, "{*}TxSts") or (REJECTED if one.find("{*}StsRsnInf") is not None else "")
    if says:
        yield _status(one, report, says=says, name=_text(one, "{*}OrgnlEndToEndId"))
    elif not covered:
        raise BadXml(problem="an order without a status")


def _status(
    found: etree._Element, report: str, *, says: str, batch: str = "", name: str = ""
) -> Line:
    if not _STATUS.fullmatch(says):
        raise BadXml(problem=f"“{says}” is no status")
    code = _text(found, "{*}StsRsnInf/{*}Rsn/{*}Cd") or _text(found, "{*}StsRsnInf/{*}Rsn/{*}Prtry")
    told = _text(found, "{*}StsRsnInf/{*}AddtlInf")
    return Line(
        key=_key("pain.002", report, batch, name, says, code),
        says=says,
        end_to_end_id=name,
        batch=batch,
        reference=report,
        reason=sentence(code, told) if code or told or says == REJECTED else "",
    )


def _statement(root: etree._Element) -> Iterator[Line]:
    for statement in root.iterfind(".//{*}Stmt"):
        account = _text(statement, "{*}Acct/{*}Id/{*}IBAN") or _text(
            statement, "{*}Acct/{*}Id/{*}Othr/{*}Id"
        )
        seen: dict[str, int] = {}
        for entry in statement.iterfind("{*}Ntry"):
            if (_text(entry, "{*}Sts/{*}Cd") or _text(entry, "{*}Sts")) == "BOOK":
                yield from _entry(entry, account, seen)


def _entry(entry: etree._Element, account: str, seen: dict[str, int]) -> Iterator[Line]:
    details = entry.findall("{*}NtryDtls/{*}TxDtls")
    for batch in entry.iterfind("{*}NtryDtls/{*}Btch"):
        if not details:
            yield _batch(entry, batch, account)
            return
    for place, detail in enumerate(details or [entry]):
        yield _booked(entry, detail, account, place, seen, alone=len(details) < 2)


def _batch(entry: etree._Element, batch: etree._Element, account: str) -> Line:
    """One debit for a whole message: the bank books it as a sum."""
    reference = _reference(entry)
    named = _text(batch, "{*}PmtInfId") or _text(batch, "{*}MsgId")
    count = _text(batch, "{*}NbOfTxs")
    return Line(
        key=_key("camt.053", account, _booking_day(entry), reference, named, "batch"),
        says=_direction(_text(entry, "{*}CdtDbtInd")),
        batch=named,
        count=int(count) if count.isdecimal() else None,
        cents=_cents(entry.find("{*}Amt")),
        currency=_currency(entry.find("{*}Amt")),
        booked_on=_day(_booking_day(entry)),
        reference=reference,
        iban=_iban(account),
    )


def _booked(
    entry: etree._Element,
    detail: etree._Element,
    account: str,
    place: int,
    seen: dict[str, int],
    *,
    alone: bool,
) -> Line:
    amount = detail.find("{*}Amt")
    if amount is None:
        amount = detail.find("{*}AmtDtls/{*}TxAmt/{*}Amt")
    if amount is None and alone:
        amount = entry.find("{*}Amt")
    name = _text(detail, "{*}Refs/{*}EndToEndId")
    code = _text(detail, "{*}RtrInf/{*}Rsn/{*}Cd") or _text(detail, "{*}RtrInf/{*}Rsn/{*}Prtry")
    told = _text(detail, "{*}RtrInf/{*}AddtlInf")
    says = _direction(_text(detail, "{*}CdtDbtInd") or _text(entry, "{*}CdtDbtInd"))
    undone = bool(code or told or _text(entry, "{*}RvslInd") in {"true", "1"})
    back = says == CREDIT and (undone or name)
    reference = _text(detail, "{*}Refs/{*}AcctSvcrRef") or _reference(entry)
    day, cents = _booking_day(entry), _cents(amount)
    key = _key("camt.053", account, day, reference, name, says, str(cents), str(place))
    again = seen.setdefault(key, 0)
    seen[key] += 1
    return Line(
        key=f"{key}-{again}" if again else key,
        says=RETURN if back else says,
        end_to_end_id=name,
        cents=cents,
        currency=_currency(amount),
        booked_on=_day(day),
        reference=reference,
        reason=sentence(code, told) if back and undone else "",
        iban=_iban(account),
    )


def _direction(says: str) -> str:
    if says not in {DEBIT, CREDIT}:
        raise BadXml(problem=f"“{says}” is neither {CREDIT} nor {DEBIT}")
    return says


def _iban(account: str) -> str:
    return account if _IBAN.fullmatch(account) else ""


def _reference(entry: etree._Element) -> str:
    return _text(entry, "{*}AcctSvcrRef") or _text(entry, "{*}NtryRef")


def _booking_day(entry: etree._Element) -> str:
    return _text(entry, "{*}BookgDt/{*}Dt") or _text(entry, "{*}BookgDt/{*}DtTm")[:10]


def _text(found: etree._Element, path: str) -> str:
    return (found.findtext(path) or "").strip()[:500]


def _cents(amount: etree._Element | None) -> int | None:
    """Whole cents; None for an amount that has none, or a part of one."""
    if amount is None:
        return None
    try:
        cents = Decimal((amount.text or "").strip()).scaleb(2)
    except InvalidOperation:
        return None
    return int(cents) if cents == cents.to_integral_value() and cents < 10**15 else None


def _currency(amount: etree._Element | None) -> str:
    return "" if amount is None else str(amount.get("Ccy", ""))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _key(*parts: str) -> str:
    """The same for the same line, in whichever file it stands."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

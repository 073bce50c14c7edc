"""SEPA credit transfers as a `pain.001.001.09` file, the same bytes each time it is made.

Identifiers come from our own ids and every date from the run, so the bank knows a file that it
gets twice. Addresses are left out: unstructured ones are refused since 15 November 2026 (EPC
rulebooks 2025), and none is needed within SEPA.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from xml.sax.saxutils import escape

from flowlink.payouts import xml_schemas
from flowlink.payouts.sepa_letters import plain

MESSAGE = "pain.001.001.09"
NAME_MAX = 70
TEXT_MAX = 140


@dataclass(frozen=True, slots=True)
class Debtor:
    """Whose money leaves: the owner's account. Without a BIC the bank finds it by the IBAN."""

    name: str
    iban: str
    bic: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One credit transfer in euros."""

    end_to_end_id: str
    cents: int
    name: str
    iban: str
    text: str


def document(
    *,
    message_id: str,
    made_at: datetime,
    execute_on: date,
    debtor: Debtor,
    transfers: Sequence[Transfer],
) -> bytes:
    """The file, valid against the published schema (asserted: only our own bug could break it)."""
    total = _amount(sum(transfer.cents for transfer in transfers))
    head = _HEAD.format(
        message=MESSAGE,
        message_id=message_id,
        made_at=f"{made_at:%Y-%m-%dT%H:%M:%SZ}",
        count=len(transfers),
        total=total,
        name=plain(debtor.name, NAME_MAX),
        iban=debtor.iban,
        agent=_agent(debtor.bic),
        execute_on=execute_on.isoformat(),
    )
    lines = [_transfer(transfer) for transfer in transfers]
    body = "".join([head, *lines, _TAIL]).encode()
    xml_schemas.check(xml_schemas.parse(body), MESSAGE)
    return body


def business_day(day: date) -> date:
    """The first TARGET business day from `day` on (ECB: weekends and six holidays closed)."""
    while day.weekday() >= 5 or day in _holidays(day.year):
        day += timedelta(days=1)
    return day


def _holidays(year: int) -> set[date]:
    easter = _easter(year)
    return {
        date(year, 1, 1),
        easter - timedelta(days=2),
        easter + timedelta(days=1),
        date(year, 5, 1),
        date(year, 12, 25),
        date(year, 12, 26),
    }


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def _agent(bic: str) -> str:
    found = f"<BICFI>{escape(bic)}</BICFI>" if bic else _NO_AGENT
    return f"<FinInstnId>{found}</FinInstnId>"


def _transfer(transfer: Transfer) -> str:
    return _LINE.format(
        end_to_end_id=transfer.end_to_end_id,
        amount=_amount(transfer.cents),
        name=plain(transfer.name, NAME_MAX),
        iban=transfer.iban,
        text=plain(transfer.text, TEXT_MAX),
    )


def _amount(cents: int) -> str:
    return f"{Decimal(cents).scaleb(-2):.2f}"


_NO_AGENT = "<Othr><Id>NOTPROVIDED</Id></Othr>"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{message}"><CstmrCdtTrfInitn>\n'
    "<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>{made_at}</CreDtTm><NbOfTxs>{count}</NbOfTxs>"
    "<CtrlSum>{total}</CtrlSum><InitgPty><Nm>{name}</Nm></InitgPty></GrpHdr>\n"
    "<PmtInf><PmtInfId>{message_id}</PmtInfId><PmtMtd>TRF</PmtMtd><BtchBookg>false</BtchBookg>"
    "<NbOfTxs>{count}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
    "<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl></PmtTpInf>"
    "<ReqdExctnDt><Dt>{execute_on}</Dt></ReqdExctnDt><Dbtr><Nm>{name}</Nm></Dbtr>"
    "<DbtrAcct><Id><IBAN>{iban}</IBAN></Id></DbtrAcct><DbtrAgt>{agent}</DbtrAgt>"
    "<ChrgBr>SLEV</ChrgBr>\n"
)
_LINE = (
    "<CdtTrfTxInf><PmtId><EndToEndId>{end_to_end_id}</EndToEndId></PmtId>"
    '<Amt><InstdAmt Ccy="EUR">{amount}</InstdAmt></Amt><Cdtr><Nm>{name}</Nm></Cdtr>'
    "<CdtrAcct><Id><IBAN>{iban}</IBAN></Id></CdtrAcct>"
    "<RmtInf><Ustrd>{text}</Ustrd></RmtInf></CdtTrfTxInf>\n"
)
_TAIL = "</PmtInf></CstmrCdtTrfInitn></Document>\n"

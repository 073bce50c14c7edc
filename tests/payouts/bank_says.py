"""Banks' answers as banks write them: status reports and statements."""

from collections.abc import Sequence
from dataclasses import dataclass

ACCOUNT = "FR7630006000011234567890189"
_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"


@dataclass(frozen=True)
class Booking:
    """One booked line of a statement."""

    name: str
    amount: str = "20.00"
    says: str = "DBIT"
    reference: str = "REF1"
    reason: str = ""
    status: str = "BOOK"
    currency: str = "EUR"


def report(
    message: str,
    *,
    group: str = "",
    block: str = "",
    orders: Sequence[tuple[str, str, str]] = (),
    version: str = "03",
    name: str = "REPORT1",
) -> bytes:
    """A pain.002: `orders` are (end-to-end id, status, reason code)."""
    lines = "".join(
        f"<TxInfAndSts><OrgnlEndToEndId>{order}</OrgnlEndToEndId><TxSts>{status}</TxSts>"
        + (f"<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn></StsRsnInf>" if code else "")
        + "</TxInfAndSts>"
        for order, status, code in orders
    )
    inner = f"<PmtInfSts>{block}</PmtInfSts>" if block else ""
    payments = (
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{message}</OrgnlPmtInfId>{inner}{lines}"
        "</OrgnlPmtInfAndSts>"
        if inner or lines
        else ""
    )
    status = f"<GrpSts>{group}</GrpSts>" if group else ""
    return (
        f'<Document xmlns="{_NAMESPACE}pain.002.001.{version}"><CstmrPmtStsRpt>'
        f"<GrpHdr><MsgId>{name}</MsgId><CreDtTm>2026-11-03T08:00:00</CreDtTm></GrpHdr>"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>{message}</OrgnlMsgId>"
        f"<OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{status}</OrgnlGrpInfAndSts>"
        f"{payments}</CstmrPmtStsRpt></Document>"
    ).encode()


def statement(*bookings: Booking, version: str = "08", name: str = "STATEMENT1") -> bytes:
    """A camt.053 with these lines, each an entry of its own."""
    entries = "".join(_entry(each, version) for each in bookings)
    return _statement(entries, version, name)


def summed(message: str, count: int, amount: str) -> bytes:
    """A camt.053 in which the bank has booked a whole message as one sum."""
    entry = (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
        "<BookgDt><Dt>2026-11-03</Dt></BookgDt><AcctSvcrRef>SUM1</AcctSvcrRef><BkTxCd/>"
        f"<NtryDtls><Btch><PmtInfId>{message}</PmtInfId><NbOfTxs>{count}</NbOfTxs></Btch>"
        "</NtryDtls></Ntry>"
    )
    return _statement(entry, "08", "STATEMENT2")


def _statement(entries: str, version: str, name: str) -> bytes:
    balance = (
        "<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp>"
        '<Amt Ccy="EUR">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-03</Dt></Dt></Bal>'
    )
    return (
        f'<Document xmlns="{_NAMESPACE}camt.053.001.{version}"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{name}</MsgId><CreDtTm>2026-11-03T20:00:00</CreDtTm></GrpHdr>"
        f"<Stmt><Id>{name}</Id><CreDtTm>2026-11-03T20:00:00</CreDtTm>"
        f"<Acct><Id><IBAN>{ACCOUNT}</IBAN></Id></Acct>{balance}{entries}</Stmt>"
        "</BkToCstmrStmt></Document>"
    ).encode()


def _entry(each: Booking, version: str) -> str:
    status = f"<Cd>{each.status}</Cd>" if version >= "08" else each.status
    amount = f'<Amt Ccy="{each.currency}">{each.amount}</Amt>'
    inner = f"{amount}<CdtDbtInd>{each.says}</CdtDbtInd>" if version >= "08" else ""
    back = f"<RtrInf><Rsn><Cd>{each.reason}</Cd></Rsn></RtrInf>" if each.reason else ""
    return (
        f"<Ntry>{amount}<CdtDbtInd>{each.says}</CdtDbtInd><Sts>{status}</Sts>"
        f"<BookgDt><Dt>2026-11-03</Dt></BookgDt><AcctSvcrRef>{each.reference}</AcctSvcrRef>"
        "<BkTxCd/><NtryDtls><TxDtls>"
        f"<Refs><EndToEndId>{each.name}</EndToEndId></Refs>{inner}{back}"
        "</TxDtls></NtryDtls></Ntry>"
    )

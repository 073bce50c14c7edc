"""What is put on paper. Owns: the company's own details, number series, issued papers.

Promises: the numbers of a series have no gap and no double, also when many papers are issued at
once and some attempts fail; an issued paper never changes, a mistake is taken back by a credit
note; every paper shows what it was computed from. Both businesses issue their papers here.

| paper | number | issued |
|---|---|---|
| self-billing invoice | `SB-<year>-<nnnnn>` | for a payout that arrived, in the partner's name |
| invoice | `INV-<year>-<nnnnn>` | for a payment that a team made |
| credit note | `CN-<year>-<nnnnn>` | takes one invoice back in full |
"""

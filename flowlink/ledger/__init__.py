"""Where money is. Owns: account, entry, transfer, balance.

Promise: entries balance, never change, and are posted once. An account is named by kind, owner
and currency and opened by its first transfer. Its balance is what was credited less what was
debited: what we owe is positive, what we own negative.

| source | entry | code: debit -> credit |
|---|---|---|
| conversion:<id>:<revision> | conversion | expected: network_unconfirmed -> pending, unearned |
| | | expected_back: pending, unearned -> network_unconfirmed |
| | | commission: network_receivable -> available, held |
| | | reserve: network_receivable -> reserve |
| | | revenue: network_receivable -> revenue |
| | | clawback: reserve, available, held, debt -> network_receivable |
| | | revenue_back: revenue -> network_receivable |
| release:<partner>:<currency>:<day> | release | release: reserve -> available, held |
| hold:<id>:placed | hold | hold: available, reserve -> held |
| hold:<id>:lifted | hold | unhold: held -> available |
| withdrawal:<id>:requested | withdrawal | withdrawal: available -> withdrawing |
| withdrawal:<id>:returned | withdrawal | withdrawal_back: withdrawing -> available, held |
| withdrawal:<id>:settled | payout | payout: withdrawing -> bank, paypal |
| withdrawal:<id>:bounced | payout | payout_back: bank, paypal -> available, held |
| fee:<end-to-end id> | fee | fee: provider_fees -> paypal |
| payment:<network>:<id> | network_payment | network_payment: bank, paypal -> network_receivable |
| budget:<offer>:<id> | budget | budget: commission_expense -> click_budget |
| | | budget_back: click_budget -> commission_expense |
| clicks:<partner>:<offer>:<hour>:<n> | clicks | clicks: click_budget -> available, held, reserve |
| | | clicks_back: available, held, reserve, debt -> click_budget |
| sale:<payment> | sale | sale: clearing -> deferred |
| | | sale_vat: clearing -> vat |
| recognition:<payment>:<day> | recognition | recognition: deferred -> sales |
| refund:<payment>:<cents so far> | refund | refund: deferred, sales -> clearing |
| | | refund_vat: vat -> clearing |
| | | in a dispute, dispute_lost: deferred, sales, vat -> disputed |
| dispute:<payment>:opened | dispute | dispute: disputed -> clearing |
| dispute:<payment>:won | dispute | dispute_won: clearing -> disputed |
| dispute:<payment>:lost | dispute | dispute_lost: deferred, sales, vat -> disputed |
| dispute:<id>:opened | dispute | hold: available, reserve -> held |
| dispute:<id>:won | dispute | unhold: held -> available |
| referral:<id>:<step> | referral | referral: revenue -> available, held |
| | | referral_back: available, held, debt -> revenue |
| case:<id> | case | adjustment: revenue -> available, held |
| own_sale:<network>:<moment> | own_sale | own_sale: commission_expense -> network_receivable |
| | | own_sale_back: network_receivable -> commission_expense |
| any that gives to a partner | | debt_repaid: what it comes from -> debt |
| correction:<ticket> | correction | correction: any -> any |

Which kinds a code may join is data (`ledger_posting_rule`), enforced by the posting function.
`pending`, `reserve`, `held`, `available`, `withdrawing`, `click_budget` and `deferred` never fall
below zero,
`debt` never rises above it. The other kinds are the installation's own and know no bounds; their
balances are spread over shards, so that simultaneous postings do not queue for one row.
"""

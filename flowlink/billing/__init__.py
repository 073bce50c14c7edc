"""What teams pay. Owns: plan, add-on, grant, payment, refund, Stripe, and the sandbox to pay in.

Promises: nothing is granted that was not paid, or given by the operator; nothing is charged twice;
what was bought keeps its price and its size whatever the price list says later; a limit at any
moment is the plan plus the grants that are valid at it, whether a job has run or not.

A **resource** is what a team buys: its plan, or an add-on in some quantity. Each paid period is one
immutable **grant**; one that is taken back gets a **void** of its own. A **payment** is for one
period of one resource, or for more of it until the period's end.

| resource | becomes | when |
|---|---|---|
| pending | active | the provider says that its payment completed |
| | cancelled | the team takes it back, or nobody pays it for three days |
| active | renewing | three hours before its end the next period is charged; limits stay |
| | cancelled, expired | its period ends after it was cancelled, or without renewal |
| | cancelled | a greater plan takes the place of this one, for the difference |
| renewing | active | paid |
| | past_due | the charge failed: tried again after 2, 5 and 7 days, limits stay for 7 days |
| past_due | active | paid after all |
| | expired | the 7 days are over; nothing is deleted |
| any of these | voided | its payment was given back in full, or lost in a dispute |

| payment | becomes | when |
|---|---|---|
| pending | paid, failed | as the provider says |
| failed | pending | it is tried again, which only a payment that surely failed is |
| pending | cancelled | its checkout was closed |

What a provider tells is kept first (`kernel.inbound`) and handled once; the handler asks the
provider for the payment's present state and books the difference. So events may come twice, late
and in any order. Money that arrives for what cannot be given any more goes back by itself.
"""

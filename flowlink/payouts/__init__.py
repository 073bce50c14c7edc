"""What partners are owed. Owns: commission, deal, accrual, reserve lot, dispute, case, reward,
payout method, withdrawal, run, bank file.

Promises: each revision of a conversion is posted exactly once, as differences; each click is paid
at most once, under the terms it was made under, and never beyond its offer's budget and caps;
`available` never falls below zero; of every withdrawal the money is either set aside, sent or
given back; and who asked for a withdrawal never approves it. Each promise is a constraint too.

Whatever moves a partner's money first locks that partner's standing (`risk.lock_hold`), then
reads the balances, then posts. The withdrawal's own row is locked before the standing.

A credit repays debt first; what is over goes to `held` while a hold binds, else to `available`.
What is taken back comes out of the conversion's own unreleased reserve in proportion, then out of
`held` and `available`, and the rest becomes debt.

Withdrawal, spec 3. The same table stands as CHECK constraint on its events.

| from | to | by | money |
|---|---|---|---|
| - | requested | the partner | available -> withdrawing |
| requested | approved | policy, or a person who did not ask for it | - |
| requested, approved | rejected | an operator, with a reason | withdrawing -> available |
| approved | in_run | a payout run takes it | - |
| in_run | approved | the run is given up before it is sent | - |
| in_run | sent | the run is released, by another than its maker; unknown until answered | - |
| approved, sent | settled | an operator (reference), the provider | withdrawing -> bank, paypal |
| approved, sent | failed | an operator or the provider, with a reason | withdrawing -> available |
| sent | returned | the provider, with a reason | withdrawing -> available |
| settled | returned | an operator or the provider, with a reason | bank, paypal -> available |

A released run's items are `sent` before anything leaves the house, so that no payment exists that
we do not know of. What is not answered is asked about under our own id and never paid again; what
a provider says moves an item on, is known already, or contradicts and waits for a person.
Locks are taken in this order: run, withdrawals, partners' standings.
"""

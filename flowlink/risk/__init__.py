"""What looks wrong. Owns: hold, and each partner's standing.

Promise: nothing is held without evidence, a deadline and a reason its partner can read, and no hold
lifts itself. `standing` is one row a partner: the lock under which holds are placed and lifted and
under which that partner's money moves. So a payout either sees a hold or is done before it.

| from | to | by |
|---|---|---|
| - | open | a rule, or an operator |
| open | lifted | an operator, with a reason |
"""

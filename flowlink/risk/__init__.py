"""What looks wrong. Owns: hold, watch, velocity scale, and each partner's standing.

Promise: nothing is held or watched without evidence, a deadline and a reason its partner can read,
and no decision ends itself. `standing` is one row a partner: the lock under which holds are placed
and lifted and under which that partner's money moves. So a payout either sees a hold or is done
before it; publications ask `service.lock_hold` in their own transaction as well.

A hold, which keeps all of a partner back:

| from | to | by |
|---|---|---|
| - | open | a rule, or an operator |
| open | lifted | an operator, with a reason |

A watch, under which the money of some clicks waits (payouts keeps it):

| from | to | by |
|---|---|---|
| - | open | signals |
| open | cleared | an operator, with a reason |
| open | confirmed | an operator, with a reason |
"""

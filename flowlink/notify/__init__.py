"""Messages that leave the house. Owns: mail.

Promise: a mail is queued in the transaction that causes it, and sent once.

| from | to | when |
|---|---|---|
| queued | queued | an attempt failed and another may work: after a pause |
| queued | sent | the other side took it, or the built-in outbox keeps it |
| queued | failed | no attempt can work, the last one failed, or it is of no more use |
| failed | queued | an operator retries it, unless its secret is gone |
"""

"""Those who share links and earn. Owns: partner, group, referral, the terms and what partners
accepted and answered, the handle they show.

A partner is one hat of one user. Promise: nobody earns before terms were accepted, with version
and time kept; and what others see of a partner is a handle they chose or an opaque one, never an
e-mail.

| from | to | by |
|---|---|---|
| - | pending | joining while new partners are reviewed |
| - | active | joining while the door is open, or the command line |
| pending | active | an operator approves |
| pending | closed | an operator declines, with a reason |
"""

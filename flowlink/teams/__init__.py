"""Those who host. Owns: team, member, invitation.

Promises: a team always has exactly one owner; whoever is not in it learns nothing of it, not even
that it exists; nobody joins without an invitation to their own address; a team that was deleted
can be brought back until its day has come.

| who | may |
|---|---|
| member | see the team, its limits and its members; leave |
| admin | also rename, invite, remove, change roles below owner, keys, buy and cancel |
| owner | also hand the team over, delete it and bring it back |
"""

"""What the smaller tables of the console show, taken along as files."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import flags, jobs, policy as policies
from flowlink.kernel.flags import Flag
from flowlink.partners import ids as partner_ids
from flowlink.risk import service as risk
from tests.factories import Person
from tests.insights.makers import World

FILES = {
    "/admin/partners/{par}/sales.csv": "conversion,at,",
    "/admin/partners/{par}/withdrawals.csv": "withdrawal,at,",
    "/admin/partners/{par}/links.csv": "link,code,",
    "/admin/partners/{par}/holds.csv": "flag,reason,",
    "/admin/offers/default/budget.csv": "entry,at,",
    "/admin/checks.csv": "account,currency,",
    "/admin/reports.csv": "report,file,",
    "/admin/jobs/failed.csv": "task,name,",
    "/admin/jobs/events.csv": "event,starts,",
    "/admin/jobs/reserve_release/runs.csv": "started_at,",
    "/admin/settings/flags.csv": "flag,on,",
    "/admin/settings/now.csv": "name,in_force,",
    "/ops/payouts/answers/files.csv": "file,name,",
    "/ops/limits/groups.csv": "group,name,",
}


@pytest.mark.parametrize("path", FILES)
def test_each_is_a_file(client: TestClient, operator: Person, world: World, path: str) -> None:
    answer = client.get(path.format(par=partner_ids.public(world.ada.partner_id)))

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.text.startswith("\ufeff" + FILES[path])


@pytest.mark.parametrize(
    "path",
    [
        "/admin/partners/par_x/holds.csv",
        "/admin/jobs/nothing/runs.csv",
        "/admin/offers/no/budget.csv",
    ],
)
def test_of_nothing_there_is_none(client: TestClient, operator: Person, path: str) -> None:
    assert client.get(path).status_code == 404


def test_they_say_what_happened(
    client: TestClient, session: Session, operator: Person, world: World, now: datetime
) -> None:
    par = partner_ids.public(world.ada.partner_id)
    risk.place_hold(
        session,
        partner_id=world.ada.partner_id,
        reason="=HYPERLINK()",
        evidence={"clicks": 57},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )
    flag = Flag.FEATURE_RISKBOT
    flags.switch(session, flag=flag, on=False, actor="test", reason="a launch", now=now)
    jobs.run("reserve_release", now)

    holds = client.get(f"/admin/partners/{par}/holds.csv").text
    assert "'=HYPERLINK(),clicks: 57,test" in holds
    assert ",approved,100.00,60.00" in client.get(f"/admin/partners/{par}/sales.csv").text
    assert "FEATURE_RISKBOT,False," in client.get("/admin/settings/flags.csv").text
    settings = client.get("/admin/settings/now.csv").text
    assert "FEATURE_RISKBOT,False," in settings
    assert "RISK_HOLD_DAYS,30,30," in settings
    assert "0 reserve lots released" in client.get("/admin/jobs/reserve_release/runs.csv").text
    assert "available,EUR,1,42.00" in client.get("/admin/checks.csv").text

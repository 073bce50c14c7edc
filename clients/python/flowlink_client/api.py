"""Every operation of the API, written from its OpenAPI file by `tools.client`."""

from collections.abc import Mapping
from typing import Any, Protocol, cast
from urllib.parse import quote

from flowlink_client import models


class Call(Protocol):
    """What sends a request and reads its answer."""

    def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = ...,
        body: object = ...,
        headers: Mapping[str, str | None] | None = ...,
    ) -> Any: ...


class Resources:
    """What stands under `/api/resources`."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def available(self, team_slug: str) -> models.AvailableList:
        """What a team on the plan Pro can buy."""
        return cast(
            "models.AvailableList",
            self._call("GET", f"/api/resources/{quote(team_slug, safe='')}/available"),
        )

    def cancel(self, team_slug: str, resource_id: str) -> models.ResourceOut:
        """End an add-on: at the end of what is paid, or at once when nothing is."""
        return cast(
            "models.ResourceOut",
            self._call(
                "DELETE",
                f"/api/resources/{quote(team_slug, safe='')}/cancel/{quote(resource_id, safe='')}",
            ),
        )

    def show_limits(self, team_slug: str) -> models.TeamLimitsOut:
        """What the team may use now."""
        return cast(
            "models.TeamLimitsOut",
            self._call("GET", f"/api/resources/{quote(team_slug, safe='')}/limits"),
        )

    def list_resources(self, team_slug: str, *, cursor: str | None = None) -> models.ResourceList:
        """All add-ons of the team, the newest first; 500 at a time."""
        return cast(
            "models.ResourceList",
            self._call(
                "GET", f"/api/resources/{quote(team_slug, safe='')}/list", query={"cursor": cursor}
            ),
        )

    def purchase(
        self, team_slug: str, body: models.PurchaseIn, *, idempotency_key: str | None = None
    ) -> models.PurchaseOut:
        """Buy an add-on for 30 days."""
        return cast(
            "models.PurchaseOut",
            self._call(
                "POST",
                f"/api/resources/{quote(team_slug, safe='')}/purchase",
                headers={"Idempotency-Key": idempotency_key},
                body=body,
            ),
        )


class Partner:
    """What stands under `/api/partner`."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def accruals(
        self, *, cursor: str | None = None, limit: int | None = None
    ) -> models.AccrualsOut:
        """Paid clicks hour by hour, the newest first."""
        return cast(
            "models.AccrualsOut",
            self._call("GET", "/api/partner/accruals", query={"cursor": cursor, "limit": limit}),
        )

    def balance(self) -> models.BalanceOut:
        """All of the partner's money, and when the reserve becomes available."""
        return cast("models.BalanceOut", self._call("GET", "/api/partner/balance"))

    def list_conversions(self, *, cursor: str | None = None) -> models.ConversionPage:
        """Your conversions, newest first."""
        return cast(
            "models.ConversionPage",
            self._call("GET", "/api/partner/conversions", query={"cursor": cursor}),
        )

    def entries(self, *, cursor: str | None = None, limit: int | None = None) -> models.EntriesOut:
        """The ledger's lines of the partner's accounts, the newest first."""
        return cast(
            "models.EntriesOut",
            self._call("GET", "/api/partner/entries", query={"cursor": cursor, "limit": limit}),
        )

    def create_link(self, body: models.LinkIn) -> models.LinkOut:
        """Make a short link."""
        return cast("models.LinkOut", self._call("POST", "/api/partner/links", body=body))

    def list_links(self, *, cursor: str | None = None) -> models.LinkPage:
        """Your links, newest first, with their clicks and conversions so far."""
        return cast(
            "models.LinkPage", self._call("GET", "/api/partner/links", query={"cursor": cursor})
        )

    def make_links(self, body: models.BulkIn) -> models.BulkOut:
        """Make many links."""
        return cast("models.BulkOut", self._call("POST", "/api/partner/links/bulk", body=body))

    def show_link(self, name: str) -> models.LinkDetail:
        """One of your links."""
        return cast(
            "models.LinkDetail", self._call("GET", f"/api/partner/links/{quote(name, safe='')}")
        )

    def change_link(self, name: str, body: models.LinkPatch) -> models.LinkDetail:
        """Change a link."""
        return cast(
            "models.LinkDetail",
            self._call("PATCH", f"/api/partner/links/{quote(name, safe='')}", body=body),
        )

    def link_statistics(self, name: str, *, days: int | None = None) -> models.StatisticsOut:
        """The clicks of one link over the last days, today included."""
        return cast(
            "models.StatisticsOut",
            self._call(
                "GET", f"/api/partner/links/{quote(name, safe='')}/statistics", query={"days": days}
            ),
        )

    def all_statistics(self, *, days: int | None = None) -> models.StatisticsOut:
        """The clicks of all your links over the last days, today included."""
        return cast(
            "models.StatisticsOut",
            self._call("GET", "/api/partner/statistics", query={"days": days}),
        )

    def list_endpoints(self) -> models.EndpointList:
        """Your endpoints, and the events that there are."""
        return cast("models.EndpointList", self._call("GET", "/api/partner/webhooks"))

    def create_endpoint(self, body: models.EndpointIn) -> models.NewEndpointOut:
        """Add an endpoint."""
        return cast("models.NewEndpointOut", self._call("POST", "/api/partner/webhooks", body=body))

    def replay_delivery(self, delivery_id: str) -> models.Queued:
        """Send a delivery once more."""
        return cast(
            "models.Queued",
            self._call(
                "POST", f"/api/partner/webhooks/deliveries/{quote(delivery_id, safe='')}/replay"
            ),
        )

    def patch_endpoint(self, endpoint_id: str, body: models.EndpointPatch) -> models.EndpointOut:
        """Change an endpoint, or switch it on or off."""
        return cast(
            "models.EndpointOut",
            self._call("PATCH", f"/api/partner/webhooks/{quote(endpoint_id, safe='')}", body=body),
        )

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Remove an endpoint and its log."""
        self._call("DELETE", f"/api/partner/webhooks/{quote(endpoint_id, safe='')}")

    def list_deliveries(
        self, endpoint_id: str, *, cursor: str | None = None
    ) -> models.DeliveryPage:
        """What was sent to an endpoint, newest first."""
        return cast(
            "models.DeliveryPage",
            self._call(
                "GET",
                f"/api/partner/webhooks/{quote(endpoint_id, safe='')}/deliveries",
                query={"cursor": cursor},
            ),
        )

    def change_secret(self, endpoint_id: str) -> models.NewEndpointOut:
        """Sign with a new secret from now on, repeats of earlier events too."""
        return cast(
            "models.NewEndpointOut",
            self._call("POST", f"/api/partner/webhooks/{quote(endpoint_id, safe='')}/secret"),
        )

    def test_endpoint(self, endpoint_id: str) -> models.Queued:
        """Send a test event."""
        return cast(
            "models.Queued",
            self._call("POST", f"/api/partner/webhooks/{quote(endpoint_id, safe='')}/test"),
        )


class Admin:
    """What stands under `/api/admin`."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def change_dispute(self, conversion_id: str, body: models.DisputeIn) -> models.DisputeOut:
        """Open a dispute about a sale, or decide it."""
        return cast(
            "models.DisputeOut",
            self._call(
                "POST",
                f"/api/admin/conversions/{quote(conversion_id, safe='')}/disputes",
                body=body,
            ),
        )

    def restate(self, conversion_id: str, body: models.RestateIn) -> models.RestateOut:
        """Take a sale back, wholly or in part; its commission follows in the same step."""
        return cast(
            "models.RestateOut",
            self._call(
                "POST", f"/api/admin/conversions/{quote(conversion_id, safe='')}/restate", body=body
            ),
        )

    def mark_link(self, link_id: str, body: models.MarkIn) -> models.MarkOut:
        """Mark a link as the partner's own content, or take the mark off."""
        return cast(
            "models.MarkOut",
            self._call("PATCH", f"/api/admin/links/{quote(link_id, safe='')}", body=body),
        )

    def list_presets(self) -> models.PresetList:
        """Networks whose way of speaking is public, each with its source."""
        return cast("models.PresetList", self._call("GET", "/api/admin/network-presets"))

    def create_from_preset(self, body: models.FromPreset) -> models.NetworkWithKey:
        """Add a network that speaks as a preset says."""
        return cast(
            "models.NetworkWithKey", self._call("POST", "/api/admin/network-presets", body=body)
        )

    def list_networks(self) -> models.NetworkList:
        """All networks, without their keys."""
        return cast("models.NetworkList", self._call("GET", "/api/admin/networks"))

    def create_network(self, body: models.NetworkBody) -> models.NewNetworkOut:
        """Add a network."""
        return cast("models.NewNetworkOut", self._call("POST", "/api/admin/networks", body=body))

    def change_network(self, name: str, body: models.NetworkChange) -> models.NetworkState:
        """Change a network's map."""
        return cast(
            "models.NetworkState",
            self._call("PATCH", f"/api/admin/networks/{quote(name, safe='')}", body=body),
        )

    def rotate_key(self, name: str, body: models.KeyIn) -> models.NetworkWithKey:
        """Give a network a new key."""
        return cast(
            "models.NetworkWithKey",
            self._call("POST", f"/api/admin/networks/{quote(name, safe='')}/key", body=body),
        )

    def teach_word(self, name: str, body: models.WordIn) -> models.NetworkState:
        """Say what a status word means."""
        return cast(
            "models.NetworkState",
            self._call("POST", f"/api/admin/networks/{quote(name, safe='')}/words", body=body),
        )

    def list_offers(self) -> models.OfferList:
        """All offers."""
        return cast("models.OfferList", self._call("GET", "/api/admin/offers"))

    def create_offer(self, body: models.OfferBody) -> models.TrackingOfferApiOfferOut:
        """Add an offer of a network."""
        return cast(
            "models.TrackingOfferApiOfferOut", self._call("POST", "/api/admin/offers", body=body)
        )

    def get_offer(self, offer: str) -> models.TrackingOfferApiOfferOut:
        """An offer by its name or its id."""
        return cast(
            "models.TrackingOfferApiOfferOut",
            self._call("GET", f"/api/admin/offers/{quote(offer, safe='')}"),
        )

    def change_offer(self, offer: str, body: models.OfferChange) -> models.TrackingOfferApiOfferOut:
        """Other terms from now on, as a new version; what happened before keeps the old ones."""
        return cast(
            "models.TrackingOfferApiOfferOut",
            self._call("PATCH", f"/api/admin/offers/{quote(offer, safe='')}", body=body),
        )

    def change_budget(self, offer: str, body: models.BudgetBody) -> models.TrackingOfferApiOfferOut:
        """Pay into the offer's budget, or take out what clicks have not used."""
        return cast(
            "models.TrackingOfferApiOfferOut",
            self._call("POST", f"/api/admin/offers/{quote(offer, safe='')}/budget", body=body),
        )

    def list_versions(self, offer: str) -> models.VersionList:
        """Every version of the terms, the newest first."""
        return cast(
            "models.VersionList",
            self._call("GET", f"/api/admin/offers/{quote(offer, safe='')}/versions"),
        )

    def try_postback(self, body: models.TryIn) -> models.PreviewOut:
        """What a postback would do, without doing it."""
        return cast(
            "models.PreviewOut", self._call("POST", "/api/admin/postbacks/preview", body=body)
        )

    def replay_matching(self, body: models.ReplayIn) -> models.ReplayOut:
        """Read all waiting postbacks that match again, in the background."""
        return cast(
            "models.ReplayOut", self._call("POST", "/api/admin/postbacks/replay", body=body)
        )

    def replay_postback(self, postback_id: str) -> models.ReplayedOut:
        """Read one postback again."""
        return cast(
            "models.ReplayedOut",
            self._call("POST", f"/api/admin/postbacks/{quote(postback_id, safe='')}/replay"),
        )

    def show_report(self, report_id: str) -> models.ReportOut:
        """One report and how far it is."""
        return cast(
            "models.ReportOut", self._call("GET", f"/api/admin/reports/{quote(report_id, safe='')}")
        )

    def choose_columns(self, report_id: str, body: models.ColumnsIn) -> models.ReportOut:
        """Say which column of a draft is which field."""
        return cast(
            "models.ReportOut",
            self._call("PUT", f"/api/admin/reports/{quote(report_id, safe='')}/columns", body=body),
        )

    def preview_report(self, report_id: str, *, after: int | None = None) -> models.ReportPreview:
        """What each row would do, fifty at a time."""
        return cast(
            "models.ReportPreview",
            self._call(
                "GET",
                f"/api/admin/reports/{quote(report_id, safe='')}/preview",
                query={"after": after},
            ),
        )

    def start_report(self, report_id: str) -> models.ReportOut:
        """Book every row, in the background."""
        return cast(
            "models.ReportOut",
            self._call("POST", f"/api/admin/reports/{quote(report_id, safe='')}/start"),
        )

    def summary(self) -> models.SummaryOut:
        """The figures of the monitoring page."""
        return cast("models.SummaryOut", self._call("GET", "/api/admin/summary"))

    def make_team(self, body: models.TeamIn) -> models.TeamOut:
        """Make a team and, if new, its owner."""
        return cast("models.TeamOut", self._call("POST", "/api/admin/teams", body=body))

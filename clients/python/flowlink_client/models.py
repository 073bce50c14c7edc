"""What the API takes and answers, written from its OpenAPI file by `tools.client`."""

from decimal import Decimal
from typing import Any, Literal, NotRequired, TypedDict

Number = int | Decimal


class AccrualOut(TypedDict):
    """Clicks of an hour on one offer: how many were paid, and why others earned nothing."""

    id: "str"
    hour: "str"
    offer: "str"
    version: "int"
    paid_clicks: "int"
    unpaid_clicks: "dict[str, int]"
    amount: "AmountOut"
    posted_at: "str"


class AccrualsOut(TypedDict):
    accruals: "list[AccrualOut]"
    next: "str | None"


class AddonsOut(TypedDict):
    ram_mb: "int"
    cpu_cores: "int"
    traffic_gb: "int"
    storage_gb: "int"


class Amount(TypedDict):
    """Whole cents as a decimal number in a string: JSON numbers are floats to too many readers."""

    amount: "str"
    currency: "str"


class AmountOut(TypedDict):
    """Whole cents as a decimal number in a string."""

    amount: "str"
    currency: "str"


AmountUnit = Literal["units", "cents"]


class AvailableList(TypedDict):
    resources: "list[AvailableOut]"


class AvailableOut(TypedDict):
    """An add-on on sale: price of one piece for 30 days, VAT included."""

    type: "Literal['ram', 'cpu', 'traffic', 'storage']"
    name: "str"
    unit: "str"
    price: "Number"
    currency: "str"
    description: "str"
    icon: "str"
    maximum: "int"


class BalanceOut(TypedDict):
    pending: "AmountOut"
    reserved: "AmountOut"
    held: "AmountOut"
    available: "AmountOut"
    withdrawing: "AmountOut"
    paid: "AmountOut"
    releases: "list[ReleaseOut]"


class BudgetBody(TypedDict):
    """Money into the budget, or with `take_back` out of it."""

    amount: "str | Number"
    take_back: NotRequired["bool"]
    once: NotRequired["str"]


class BulkIn(TypedDict):
    """Up to 1000 links."""

    links: "list[BulkRow]"
    preview: NotRequired["bool"]


class BulkOut(TypedDict):
    links: "list[BulkOutcome]"


class BulkOutcome(TypedDict):
    """What became of the row at this place, counted from 0."""

    row: "int"
    result: "Literal['created', 'would_create', 'refused']"
    id: NotRequired["str | None"]
    url: NotRequired["str | None"]
    error: NotRequired["str | None"]
    field: NotRequired["str | None"]


class BulkRow(TypedDict):
    """A link to make, as in the columns of the CSV."""

    slug: NotRequired["str"]
    destination: NotRequired["str"]
    offer: NotRequired["str"]
    domain: NotRequired["str"]
    tags: NotRequired["list[str]"]
    note: NotRequired["str"]
    expires_at: NotRequired["str"]


class ColumnsIn(TypedDict):
    """Our field -> the number of its column, from 0."""

    columns: "dict[str, int]"


class ConversionPage(TypedDict):
    conversions: "list[ConversionRow]"
    next: "str | None"


class ConversionRow(TypedDict):
    id: "str"
    status: "str"
    amount: "Amount"
    commission: "Amount"
    txn_id: "str | None"
    goal: "str"
    click_id: "str | None"
    link: "str"
    revision: "int"
    occurred_at: "str"
    updated_at: "str"


class DeliveryOut(TypedDict):
    id: "str"
    event: "str"
    state: "str"
    attempts: "int"
    answer_status: "int | None"
    error: "str"
    created_at: "str"
    tried_at: "str | None"


class DeliveryPage(TypedDict):
    deliveries: "list[DeliveryOut]"
    next: "str | None"


class DisputeIn(TypedDict):
    """`opened` begins one under this reference; `won` and `lost` decide it."""

    state: "Literal['opened', 'won', 'lost']"
    reference: "str"


class DisputeOut(TypedDict):
    id: "str"
    conversion: "str"
    reference: "str"
    state: "str"
    amount: "Amount"
    held: "Amount"


class EndpointIn(TypedDict):
    url: "str"
    events: "list[str]"
    method: NotRequired["str"]


class EndpointList(TypedDict):
    endpoints: "list[EndpointOut]"
    events: "list[str]"


class EndpointOut(TypedDict):
    id: "str"
    url: "str"
    method: "str"
    events: "list[str]"
    state: "str"
    failing_since: "str | None"
    created_at: "str"


class EndpointPatch(TypedDict):
    """What to change; what is left out stays."""

    url: NotRequired["str | None"]
    events: NotRequired["list[str] | None"]
    active: NotRequired["bool | None"]


class EntriesOut(TypedDict):
    entries: "list[EntryOut]"
    next: "str | None"


class EntryOut(TypedDict):
    """What one transfer did to one of the partner's accounts."""

    entry_id: "str"
    at: "str"
    kind: "str"
    account: "str"
    code: "str"
    amount: "AmountOut"
    balance_after: "AmountOut | None"
    source: "str"


class FromPreset(TypedDict):
    preset: "str"
    name: NotRequired["str"]
    key: NotRequired["str | None"]


class HourOut(TypedDict):
    at: "str"
    valid: "int"
    flagged: "int"


class KeyIn(TypedDict):
    """`grace_days`: for how long the old key is believed besides the new one."""

    grace_days: NotRequired["int"]
    key: NotRequired["str | None"]


class LimitsOut(TypedDict):
    cpu_cores: "int"
    memory_mb: "int"
    traffic_gb: "int"
    storage_mb: "int"


class LinkDetail(TypedDict):
    """A link with all that can be said of it."""

    id: "str"
    code: "str"
    domain: "str"
    url: "str"
    offer: "str"
    destination: "str | None"
    state: "str"
    note: "str"
    tags: "list[str]"
    targets: "list[TargetBody]"
    weighted: "list[WeightedBody]"
    clicks: "int"
    flagged: "int"
    expires_at: "str | None"
    disabled_at: "str | None"
    created_at: "str"


class LinkIn(TypedDict):
    """A link to make."""

    offer: NotRequired["str | None"]
    destination: NotRequired["str | None"]
    slug: NotRequired["str | None"]
    domain: NotRequired["str"]
    expires_at: NotRequired["str | None"]
    note: NotRequired["str"]
    tags: NotRequired["list[str]"]
    targets: NotRequired["list[TargetBody]"]
    weighted: NotRequired["list[WeightedBody]"]


class LinkOut(TypedDict):
    id: "str"
    code: "str"
    url: "str"


class LinkPage(TypedDict):
    links: "list[LinkRow]"
    next: "str | None"


class LinkPatch(TypedDict):
    """What to change; what is left out stays."""

    destination: NotRequired["str | None"]
    expires_at: NotRequired["str | None"]
    note: NotRequired["str"]
    tags: NotRequired["list[str]"]
    targets: NotRequired["list[TargetBody]"]
    weighted: NotRequired["list[WeightedBody]"]
    disabled: NotRequired["bool"]


class LinkRow(TypedDict):
    id: "str"
    code: "str"
    url: "str"
    offer: "str"
    destination: "str | None"
    clicks: "int"
    flagged: "int"
    conversions: "int"
    disabled_at: "str | None"
    created_at: "str"


class MarkIn(TypedDict):
    """Whether the link shares its partner's own content."""

    own_content: "bool"


class MarkOut(TypedDict):
    id: "str"
    code: "str"
    own_content: "bool"


Mode = Literal["cpc", "revshare"]


class MoneyInput(TypedDict):
    """An exact amount of one currency."""

    micro: "int"
    currency: NotRequired["str"]


class MoneyOutput(TypedDict):
    """An exact amount of one currency."""

    micro: "int"
    currency: NotRequired["str"]


class NetworkBody(TypedDict):
    """A network."""

    name: "str"
    fields: NotRequired["dict[str, str]"]
    statuses: NotRequired["dict[str, str | list[str]]"]
    click_param: NotRequired["str | None"]
    default_status: NotRequired["Status | None"]
    amount_unit: NotRequired["AmountUnit"]
    currency: NotRequired["str | None"]
    key: NotRequired["str | None"]
    addresses: NotRequired["list[str]"]
    rebill: NotRequired["bool"]
    lookback_days: NotRequired["int"]


class NetworkChange(TypedDict):
    """What is to change; what is left out stays."""

    click_param: NotRequired["str | None"]
    fields: NotRequired["dict[str, str] | None"]
    statuses: NotRequired["dict[str, Status] | None"]
    default_status: NotRequired["Status | None"]
    amount_unit: NotRequired["AmountUnit | None"]
    currency: NotRequired["str | None"]
    addresses: NotRequired["list[str] | None"]
    rebill: NotRequired["bool | None"]
    lookback_days: NotRequired["int | None"]
    active: NotRequired["bool | None"]


class NetworkList(TypedDict):
    networks: "list[NetworkOut]"


class NetworkOut(TypedDict):
    id: "str"
    name: "str"
    click_param: "str"
    fields: "dict[str, str]"
    statuses: "dict[str, str]"
    default_status: "str | None"
    amount_unit: "str"
    currency: "str | None"
    addresses: "list[str]"
    rebill: "bool"
    lookback_days: "int"
    active: "bool"
    created_at: "str"


class NetworkState(TypedDict):
    """A network's whole map."""

    id: "str"
    name: "str"
    preset: "str | None"
    click_param: "str"
    fields: "dict[str, str]"
    statuses: "dict[str, str]"
    default_status: "str | None"
    amount_unit: "str"
    currency: "str | None"
    addresses: "list[str]"
    rebill: "bool"
    lookback_days: "int"
    active: "bool"
    old_key_until: "str | None"


class NetworkWithKey(TypedDict):
    """With what only its maker is shown."""

    id: "str"
    name: "str"
    preset: "str | None"
    click_param: "str"
    fields: "dict[str, str]"
    statuses: "dict[str, str]"
    default_status: "str | None"
    amount_unit: "str"
    currency: "str | None"
    addresses: "list[str]"
    rebill: "bool"
    lookback_days: "int"
    active: "bool"
    old_key_until: "str | None"
    key: "str"
    postback_url: "str"


class NewEndpointOut(TypedDict):
    id: "str"
    url: "str"
    method: "str"
    events: "list[str]"
    state: "str"
    failing_since: "str | None"
    created_at: "str"
    secret: "str"


class NewNetworkOut(TypedDict):
    """With what only its maker is shown: the key, and the address to give to the network."""

    id: "str"
    name: "str"
    click_param: "str"
    fields: "dict[str, str]"
    statuses: "dict[str, str]"
    default_status: "str | None"
    amount_unit: "str"
    currency: "str | None"
    addresses: "list[str]"
    rebill: "bool"
    lookback_days: "int"
    active: "bool"
    created_at: "str"
    key: "str"
    postback_url: "str"


class OfferBody(TypedDict):
    """An offer."""

    name: "str"
    network: "str"
    mode: "Mode"
    destination: "str"
    share: NotRequired["str | Number | None"]
    cpc: NotRequired["str | Number | None"]
    budget: NotRequired["str | Number | None"]
    cap_daily: NotRequired["str | Number | None"]
    cap_partner_daily: NotRequired["str | Number | None"]
    cap_total: NotRequired["str | Number | None"]
    starts_at: NotRequired["str | None"]
    ends_at: NotRequired["str | None"]
    allowed_hosts: NotRequired["list[str]"]


class OfferChange(TypedDict):
    """What becomes different; what is left out stays."""

    version: NotRequired["int | None"]
    mode: NotRequired["Mode | None"]
    destination: NotRequired["str | None"]
    share: NotRequired["str | Number | None"]
    cpc: NotRequired["str | Number | None"]
    cap_daily: NotRequired["str | Number | None"]
    cap_partner_daily: NotRequired["str | Number | None"]
    cap_total: NotRequired["str | Number | None"]
    starts_at: NotRequired["str | None"]
    ends_at: NotRequired["str | None"]
    allowed_hosts: NotRequired["list[str] | None"]
    active: NotRequired["bool | None"]


class OfferList(TypedDict):
    offers: "list[TrackingOfferApiOfferOut]"


class PresetList(TypedDict):
    presets: "list[PresetOut]"


class PresetOut(TypedDict):
    name: "str"
    title: "str"
    click_param: "str"
    places: "dict[str, str]"
    statuses: "dict[str, str]"
    default_status: "str | None"
    note: "str"
    source_title: "str"
    source_url: "str"


class PreviewOut(TypedDict):
    """What it would do; nothing was done."""

    result: "str"
    reason: "str | None"
    network: "str | None"
    fields: "dict[str, list[str]]"
    status: "str | None"
    amount: "str | None"
    link: "str | None"
    conversion_id: "str | None"


class Problem(TypedDict):
    """A refusal (RFC 9457)."""

    type: "str"
    title: "str"
    status: "int"
    detail: "str"
    instance: "str"
    request_id: "str"
    errors: NotRequired["list[dict[str, Any]]"]


class PurchaseIn(TypedDict):
    resource_type: "Literal['ram', 'cpu', 'traffic', 'storage']"
    quantity: "int"


class PurchaseOut(TypedDict):
    """Pending until `payment_url` was paid."""

    payment_id: "str"
    resource_id: "str"
    amount: "Number"
    currency: "str"
    payment_url: "str"


class Queued(TypedDict):
    id: "str"


class ReleaseOut(TypedDict):
    amount: "AmountOut"
    on: "str"


class ReplayIn(TypedDict):
    """Which of the waiting postbacks; what is left out matches all."""

    network: NotRequired["str"]
    result: NotRequired["Result | None"]
    reason: NotRequired["str"]
    word: NotRequired["str"]


class ReplayOut(TypedDict):
    waiting: "int"


class ReplayedOut(TypedDict):
    result: "str"
    reason: "str | None"
    conversion_id: "str | None"


class ReportOut(TypedDict):
    id: "str"
    network: "str"
    filename: "str"
    state: "str"
    header: "list[str]"
    columns: "dict[str, int]"
    rows: "int"
    created_at: "str"
    done_at: "str | None"


class ReportPreview(TypedDict):
    rows: "list[ReportRowOut]"
    next: "int | None"


class ReportRowOut(TypedDict):
    number: "int"
    cells: "list[str]"
    result: "str"
    reason: "str | None"


ResourceList = dict[str, Any]


class ResourceOut(TypedDict):
    """An add-on."""

    id: "str"
    resource_type: "Literal['ram', 'cpu', 'traffic', 'storage']"
    quantity: "int"
    unit_price: "Number"
    status: "Literal['pending', 'active', 'renewing', 'past_due', 'expired', 'cancelled', 'voided']"
    expires_at: "str | None"
    auto_renew: "bool"


class RestateIn(TypedDict):
    """`approved` with what is left of the sale, or `reversed`."""

    status: "Literal['approved', 'reversed']"
    amount: NotRequired["str | None"]
    reason: "str"


class RestateOut(TypedDict):
    id: "str"
    status: "str"
    amount: "Amount"
    revision: "int"


Result = Literal["received", "ok", "duplicate", "orphan", "quarantined", "rejected"]


class SliceOut(TypedDict):
    name: "str"
    valid: "int"
    bots: "int"
    others: "int"


class StatisticsOut(TypedDict):
    """Days in UTC."""

    total: "SliceOut"
    hours: "list[HourOut]"
    days: "list[SliceOut]"
    countries: "list[SliceOut]"
    devices: "list[SliceOut]"
    referrers: "list[SliceOut]"
    reasons: "list[SliceOut]"


Status = Literal["pending", "approved", "rejected", "reversed"]


class SummaryOut(TypedDict):
    """Plain numbers; amounts are euros, rounded half even to cents."""

    clicks_7d: "int"
    conv_7d: "int"
    rev_7d: "Number"
    epc_7d: "Number"
    available: "Number"
    reserved: "Number"
    paid: "Number"
    pending: "int"
    approved: "int"
    posted: "int"
    failed: "int"
    holds: "int"
    postbacks_24h: "int"
    partners_active: "int"
    offer: "InsightsApiOfferOut | None"


class TargetBody(TypedDict):
    """Where visitors go who have this device, are in this country, or both."""

    destination: "str"
    device: NotRequired["str | None"]
    country: NotRequired["str | None"]


class TeamIn(TypedDict):
    slug: "str"
    name: "str"
    owner_email: "str"
    plan: NotRequired["str"]


class TeamLimitsOut(TypedDict):
    """What the team may use now, and what it is made of."""

    cpu_cores: "int"
    memory_mb: "int"
    traffic_gb: "int"
    storage_mb: "int"
    plan_limits: "LimitsOut"
    additional_resources: "AddonsOut"


class TeamOut(TypedDict):
    id: "str"
    slug: "str"
    name: "str"
    owner_email: "str"
    plan: "str"


class TermsOut(TypedDict):
    mode: "str"


class TryIn(TypedDict):
    """A query as a network would send it, with its `network` and `key`; or its whole address."""

    query: "str"
    address: NotRequired["str"]


class VersionList(TypedDict):
    versions: "list[VersionOut]"


class VersionOut(TypedDict):
    """The terms from `in_force_at` until the next version."""

    mode: "str"
    destination: "str"
    share: "str | None"
    cpc: "Amount | None"
    cap_daily: "Amount | None"
    cap_partner_daily: "Amount | None"
    cap_total: "Amount | None"
    starts_at: "str | None"
    ends_at: "str | None"
    allowed_hosts: "list[str]"
    version: "int"
    active: "bool"
    in_force_at: "str"
    actor: "str"


class WeightedBody(TypedDict):
    """A destination that gets its part of the visitors."""

    destination: "str"
    weight: "int"


class WordIn(TypedDict):
    word: "str"
    meaning: "Status"


class InsightsApiOfferOut(TypedDict):
    headline_cpc: "Number"
    epc_7d: "Number"
    terms: "TermsOut"


class TrackingOfferApiOfferOut(TypedDict):
    """`budget` is what clicks can still cost; `stopped` says why they earn nothing now, if so."""

    mode: "str"
    destination: "str"
    share: "str | None"
    cpc: "Amount | None"
    cap_daily: "Amount | None"
    cap_partner_daily: "Amount | None"
    cap_total: "Amount | None"
    starts_at: "str | None"
    ends_at: "str | None"
    allowed_hosts: "list[str]"
    version: "int"
    active: "bool"
    id: "str"
    name: "str"
    network: "str"
    budget: "Amount"
    stopped: "str | None"
    created_at: "str"

"""The people, pages and hours of the demonstration month: invented, plausible, always the same."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Player:
    """A partner of the demonstration. `reach` is their clicks on an ordinary day."""

    handle: str
    email: str
    joined_day: int
    reach: int
    topics: tuple[str, ...]
    iban: str = ""


PLAYERS = (
    Player("atelier-lea", "lea@example.org", 0, 62, ("outils", "video"), "DE89370400440532013000"),
    Player("nora-codes", "nora@example.org", 0, 54, ("newsletter", "blog", "video")),
    Player(
        "hugo-teste", "hugo@example.org", 1, 45, ("tests", "video"), "FR1420041010050500013M02606"
    ),
    Player("petit-studio", "studio@example.org", 2, 38, ("portfolio", "blog")),
    Player("maya-explique", "maya@example.org", 3, 33, ("video", "fil")),
    Player("le-comptoir", "comptoir@example.org", 4, 26, ("newsletter",), "BE68539007547034"),
    Player("samir-build", "samir@example.org", 6, 21, ("blog", "fil")),
    Player("jeanne-lit", "jeanne@example.org", 9, 15, ("lecture",)),
    Player("tom-outille", "tom@example.org", 12, 12, ("outils",)),
    Player("ines-voyage", "ines@example.org", 15, 10, ("carnet", "video")),
    Player("paul-debute", "paul@example.org", 24, 4, ("essai",)),
    Player("zoe-teste", "zoe@example.org", 30, 2, ("premier-lien",)),
)

# How the day's clicks spread over its hours (UTC): quiet nights, a lunch and an evening peak.
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 9, 9, 10, 13, 14, 11, 9, 9, 10, 13, 17, 20, 21, 16, 9, 4)
# Monday to Sunday.
WEEKDAYS = (100, 104, 108, 106, 96, 82, 90)

AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_6) AppleWebKit/605.1.15 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
)
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "facebookexternalhit/1.1",
    "TelegramBot (like TwitterBot)",
)
REFERRERS = ("", "", "youtube.com", "t.co", "bsky.app", "instagram.com", "mastodon.social")

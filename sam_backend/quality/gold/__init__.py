"""Images whose masks are trusted: where they come from, who meets them, what they prove."""

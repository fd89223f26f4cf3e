"""Which text each document id of a batch stands for: two texts under one id leave open which of them holds.

Two texts of two dates are two versions, of which the newer one holds.
"""

from datetime import date


class SeenTexts:
    """The ids of a batch's documents; of the texts only the hashes are kept."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[date | None, tuple[int, str]]] = {}

    def contradicted(self, document_id: str, day: date | None, text: str, where: str) -> str | None:
        """Take a document, or return where another text has its id, and no two dates tell the versions apart.

        Args:
            document_id: Its id.
            day: Its date of publication.
            text: Its text.
            where: Its place, for messages.
        """
        versions, found = self._seen.setdefault(document_id, {}), (hash(text), where)
        known = versions.get(day)
        if known is None and versions and (day is None or None in versions):
            known = next(iter(versions.values()))
        if known is not None and known[0] != found[0]:
            return known[1]
        versions.setdefault(day, found)
        return None

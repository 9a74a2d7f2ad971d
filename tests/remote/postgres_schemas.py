"""PostgreSQL's queries, as its tests need them."""

from starfish_storage.metadata.queries import postgres_queries

QUERIES = postgres_queries()


def texts_of(name: str) -> list[str]:
    """Return the texts of a query: of a list over statuses with one and with seven."""
    try:
        return [QUERIES[name]]
    except KeyError:
        return [QUERIES.merged(name, number) for number in (1, 7)]

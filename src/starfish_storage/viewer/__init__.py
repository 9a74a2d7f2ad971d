"""The local viewer: pages that show what is in a store, read through `Storage` only. Needs the extra ``viewer``."""

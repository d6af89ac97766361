"""STAC: searching catalogues, and items whose assets are local files or ranges read over HTTP."""

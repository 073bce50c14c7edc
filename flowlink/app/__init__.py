"""Composition root: web, worker, `up`, command line. The only package that knows all the others."""

"""Composition root: the web app, the worker, `up` and the command line. The only package that knows all others."""

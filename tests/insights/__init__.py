"""Tests of flowlink.insights."""

"""Tests of flowlink.risk."""

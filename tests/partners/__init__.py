"""Tests of flowlink.partners."""

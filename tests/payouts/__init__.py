"""Tests of flowlink.payouts."""

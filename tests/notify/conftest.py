"""Mail's jobs are known to the tests that run them."""

from flowlink.notify import jobs  # noqa: F401

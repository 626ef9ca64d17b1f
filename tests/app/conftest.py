"""What the tests of the pages share."""

from chromium import browser  # noqa: F401 - a fixture

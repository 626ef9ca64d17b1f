"""The frame of the review page, as HTML: head, filters, gallery, large view, agreement, keys. The scripts fill it."""

from __future__ import annotations

from hf_bones.app.review.session import DEFAULT_PAGE_SIZE, PAGE_SIZES, Review
from hf_bones.pages.templates import render

# Reasons that the box offers; any other text will do.
DROP_REASONS = ("not a radiograph", "poor quality", "several pictures", "copy", "no bone of interest", "wrong label, true one unclear")


def frame_html(review: Review) -> str:
    """The whole page, empty."""
    return render(
        "app/review/frame.html.j2",
        name=review.name,
        place="the built dataset" if review.subject.kind == "dataset" else "the collection",
        reviewer=review.reviewer,
        scheme=review.scheme,
        sizes=PAGE_SIZES,
        default_size=DEFAULT_PAGE_SIZE,
        reasons=DROP_REASONS,
    )

"""The frame of the look-up page, as HTML: head, filters, gallery, large view, agreement, keys. `script.py` fills it."""

from __future__ import annotations

from html import escape

from hf_bones.app.demo.texts import OTHER_SIGN, SIGNS, words
from hf_bones.app.review.session import PAGE_SIZES, Review
from hf_bones.labels import LabelScheme

# Reasons that the box offers; any other text will do.
DROP_REASONS = ("not a radiograph", "poor quality", "several pictures", "copy", "no bone of interest", "wrong label, true one unclear")


def frame_html(review: Review) -> str:
    """The whole page, empty."""
    place = "the built dataset" if review.subject.kind == "dataset" else "the collection"
    sizes = "".join(f"<option{' selected' if size == 60 else ''}>{size}</option>" for size in PAGE_SIZES)
    return f"""
<div class="review" data-classes="{escape(" ".join(review.scheme.names))}">
<header class="head">
  <h1>{escape(review.name)} <small>{place}</small></h1>
  <p class="making" role="status" hidden></p>
  <label class="who">Reviewer <input class="reviewer" type="text" maxlength="60" autocomplete="off" placeholder="your name"
    value="{escape(review.reviewer)}"></label>
  <label class="tick"><input class="blind" type="checkbox"> Hide labels and others' decisions</label>
  <button type="button" class="small" data-act="agreement">Agreement</button>
  <button type="button" class="small" data-act="sheet">Contact sheet</button>
</header>
<div class="body">
<aside class="filters" aria-label="Filters"><div class="filters-head"><h2>Filters</h2>
  <button type="button" class="small" data-act="clear" disabled>Clear</button></div><div class="facets"></div></aside>
<div class="found">
  <div class="tools">
    <input class="words" type="search" placeholder="Search titles, queries, pages, hashes" aria-label="Search">
    <label>Order <select class="order"></select></label>
    <label>A page <select class="size">{sizes}</select></label>
    <p class="total" role="status" aria-live="polite"></p>
    <span class="turn"><button type="button" class="small" data-act="previous" aria-label="Previous page">‹ <kbd>p</kbd></button>
    <span class="page">1 of 1</span>
    <button type="button" class="small" data-act="next" aria-label="Next page"><kbd>n</kbd> ›</button></span>
  </div>
  <ul class="cards gallery" aria-label="Images"></ul>
</div></div>
{_actions_html(review.scheme, "gallery")}
<dialog class="large" aria-label="One image">
  <div class="large-body">
  <div class="stage"><div class="films"><figure class="first"><div class="film"><img alt=""><div class="boxes" hidden></div></div>
    <figcaption></figcaption></figure>
    <figure class="second" hidden><div class="film"><img alt=""></div><figcaption></figcaption></figure></div>
    <div class="stage-tools"><button type="button" class="small" data-act="back">‹ Gallery <kbd>Esc</kbd></button>
    <span class="at"></span>
    <button type="button" class="small" data-act="boxes" hidden>Boxes <kbd>b</kbd></button>
    <button type="button" class="small" data-act="zoom-out" aria-label="Smaller"><kbd>-</kbd></button>
    <button type="button" class="small" data-act="zoom-in" aria-label="Larger"><kbd>+</kbd></button>
    <button type="button" class="small" data-act="zoom-off">Fit <kbd>0</kbd></button>
    <label class="tick"><input class="go-on" type="checkbox" checked> Go on after a decision</label></div>
  </div>
  <div class="panel" tabindex="0" autofocus aria-label="About this image"></div></div>
  {_actions_html(review.scheme, "large")}
</dialog>
<dialog class="agreement" aria-label="Agreement of two reviewers">
  <div class="agreement-head"><h2>Agreement</h2><label>First <select class="first-reader"></select></label>
  <label>Second <select class="second-reader"></select></label>
  <label>About <select class="about"><option value="">labels</option><option value="use">keep or drop</option></select></label>
  <button type="button" class="small" data-act="close-agreement">Close <kbd>Esc</kbd></button></div><div class="agreement-body"></div>
</dialog>
</div>"""


def _actions_html(scheme: LabelScheme, where: str) -> str:
    """The bar of decisions, which is the legend of the keys too."""
    classes = "".join(
        f'<button type="button" class="act" data-act="relabel" data-label="{escape(name)}" data-class="{escape(name)}"><kbd>{number}</kbd>'
        f'<span class="sign" aria-hidden="true">{SIGNS.get(name, OTHER_SIGN)}</span> {escape(words(name))}</button>'
        for number, name in enumerate(scheme.names, start=1)
    )
    groups = "".join(
        f'<optgroup label="{escape(words(label.name))}">'
        + "".join(f'<option value="{escape(label.name)}|{escape(name)}">{escape(name)}</option>' for name in label.subtypes)
        + "</optgroup>"
        for label in scheme.classes
        if label.subtypes
    )
    reasons = "".join(f'<option value="{escape(reason)}"></option>' for reason in DROP_REASONS)
    moves = "<kbd>← → ↑ ↓</kbd> move <kbd>Enter</kbd> large" if where == "gallery" else "<kbd>← →</kbd> next image <kbd>Esc</kbd> gallery"
    return f"""<div class="actions"><div class="acts">{classes}
  <select class="subtype" aria-label="Give a subtype"><option value="">subtype …</option>{groups}</select><span class="gap"></span>
  <button type="button" class="act" data-act="drop"><kbd>d</kbd> Drop</button>
  <input class="reason" type="text" list="reasons-{where}" aria-label="Reason of dropping" placeholder="why" maxlength="120">
  <datalist id="reasons-{where}">{reasons}</datalist>
  <button type="button" class="act" data-act="keep"><kbd>r</kbd> Restore</button><span class="gap"></span>
  <button type="button" class="act" data-act="undo"><kbd>u</kbd> Undo</button></div>
  <p class="said" role="status" aria-live="polite"></p><p class="keys">{moves}</p></div>"""

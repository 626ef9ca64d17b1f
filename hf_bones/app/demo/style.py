"""How the page looks: gradio's default theme in a font that ships with gradio (nothing is fetched), and a little CSS.

The class colours are close to Okabe and Ito's palette, told apart under the common colour blindnesses; texts take the theme's variables,
so that dark mode needs no second set.
"""

from __future__ import annotations

from typing import Any

CSS = """
.gradio-container { overflow: visible !important; --quiet: color-mix(in srgb, var(--body-text-color) 75%, var(--body-background-fill)); }
.gradio-container > .main { max-width: 1180px !important; margin: 0 auto; }
.gradio-container .html-container { padding: 0; }
.bones-header h1 { font-size: 1.45rem; margin: 0 0 .2rem; line-height: 1.25; }
.bones-header p { margin: 0; color: var(--quiet); }
.bones-header strong { color: var(--body-text-color); }
.bones-header .drawn-only { margin-top: .6rem; padding: .5rem .8rem; border-left: 4px solid #E69F00; border-radius: 4px;
  background: color-mix(in srgb, #E69F00 16%, transparent); color: var(--body-text-color); }

[data-class] { --mark: #56B4E9; }
[data-class="healthy"] { --mark: #009E73; }
[data-class="fractured"] { --mark: #E69F00; }
[data-class="beyond_repair"] { --mark: #CC79A7; }
[data-class="refer"], [data-class="not_a_bone_xray"] { --mark: #A0A5AD; }
.sign { display: inline-grid; place-items: center; width: 1.6em; height: 1.6em; border-radius: 50%; font-size: .8em; font-weight: 700;
  flex: none; background: var(--mark); color: #000; }

/* Wide: image and examples on the left, answer on the right. Narrow: image, answer, examples. */
.bones-page { display: grid !important; gap: 16px; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); grid-template-rows: auto 1fr;
  grid-template-areas: "input answer" "examples answer"; align-items: start; }
.bones-input { grid-area: input; }
.bones-answer { grid-area: answer; }
.bones-examples { grid-area: examples; }
@media (max-width: 760px) {
  .bones-page { grid-template-columns: minmax(0, 1fr); grid-template-rows: none; grid-template-areas: "input" "answer" "examples"; }
  .gradio-container > .main { padding: 12px !important; }
  .bones-header h1 { font-size: 1.2rem; }
  #radiograph { height: 300px !important; }
}

.verdict { border: 1px solid var(--border-color-primary); border-left: 6px solid var(--mark, var(--border-color-primary));
  border-radius: var(--block-radius); background: var(--block-background-fill); padding: .7rem 1rem .8rem;
  scroll-margin: 1rem 0 5rem; }
.verdict p { margin: .25rem 0 0; }
.verdict h2 { font-size: 1.5rem; line-height: 1.25; margin: .1rem 0; display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; }
.verdict .score { font-size: 1.1rem; font-weight: 400; color: var(--quiet); }
.verdict .kicker, .verdict .detail { color: var(--quiet); font-size: .85rem; margin: 0; }
.verdict .detail { overflow-wrap: anywhere; margin-top: .4rem; }
.verdict ul { margin: .4rem 0 0 1.2rem; list-style: disc; }
.verdict .hint { margin: 0; padding: .6rem 0; }
.verdict[data-state="refused"] { --mark: #D55E00; }
/* Nothing to show yet: the results stay away. */
.bones-page:has(.verdict:not([data-state="ok"])) .bones-results { display: none; }

#probabilities .text, #probabilities .confidence { font-family: var(--font); }
#heat .image-container, #radiograph:has(img) .image-container { background: #0b0e14; }
.caption { margin: 0 0 .3rem; line-height: 1.4; font-size: .85rem; color: var(--quiet); }

.examples p { margin: 0 0 .4rem; font-size: .9rem; }
.examples div { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem; }
.examples button { border: 1px solid var(--border-color-primary); border-radius: var(--block-radius); overflow: hidden; padding: 0;
  background: var(--block-background-fill); color: var(--body-text-color); font-size: .8rem; line-height: 1.25; font-weight: 400;
  cursor: pointer; display: flex; flex-direction: column; }
.examples button:hover { border-color: var(--color-accent); }
.examples button:focus-visible { outline: 2px solid var(--color-accent); outline-offset: 1px; }
.examples img { display: block; width: 100%; height: 92px; object-fit: cover; background: #000; margin: 0; border-radius: 0; }
.examples span { display: block; width: 100%; padding: .25rem .3rem .3rem; }

.definitions { display: grid; gap: .7rem; margin: 0; }
.definitions dt { font-weight: 600; display: flex; align-items: center; gap: .5rem; }
.definitions dd { margin: .15rem 0 0 1.8rem; }
.definitions .subtypes { color: var(--quiet); }

.privacy { color: var(--quiet); font-size: .85rem; margin: 0; }
#notice { position: sticky; bottom: 0; z-index: 20; border-top: 1px solid var(--border-color-primary) !important;
  background: var(--body-background-fill); padding: .4rem .2rem; text-align: center; }
#notice p { margin: 0; font-size: .82rem !important; }
"""


def theme() -> Any:
    """The page's theme. Of the fonts that ship with gradio, some weights hold only a few letters; Plex's 400 and 700 are whole."""
    import gradio as gr

    return gr.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), gr.themes.Font("Arial"), gr.themes.Font("sans-serif")],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), gr.themes.Font("monospace")],
    )

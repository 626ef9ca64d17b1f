"""How the look-up page looks, on top of `app/demo/style.py`: the same theme, fonts and class colours."""

from __future__ import annotations

from hf_bones.app.demo import style

_PAGE = """
.gradio-container > .main { max-width: none !important; padding: 0 !important; }
.gradio-container > .main > .wrap { padding: 0 !important; }
footer { display: none !important; }
.review { --line: var(--border-color-primary); --film: #0b0e14; --warn: #D55E00; font-size: .9rem; color: var(--body-text-color);
  line-height: 1.35; }
.review h1, .review h2, .review h3, .review p, .review ul, .review ol, .review li, .review dl, .review dd, .review figure, .review button,
  .review a, .review table { margin: 0; padding: 0; list-style: none; color: inherit; }
.review kbd { font: 400 .78em var(--font-mono); padding: 0 .35em; border: 1px solid color-mix(in srgb, currentColor 35%, transparent)
  !important;
  border-radius: 4px; background: var(--background-fill-primary); color: inherit; white-space: nowrap; box-shadow: none; }
.review button { font: inherit; color: inherit; cursor: pointer; }
.review button:focus-visible, .review input:focus-visible, .review select:focus-visible, .review .panel:focus-visible { outline: 2px solid
  var(--color-accent); outline-offset: 1px; }
.review input[type=text], .review input[type=search], .review select { font: inherit; color: inherit; background:
  var(--input-background-fill);
  border: 1px solid var(--line); border-radius: 6px; padding: .25rem .45rem; }
.review select { appearance: auto; }
.review .small, .review .act { border: 1px solid var(--line); border-radius: 6px; background: var(--button-secondary-background-fill);
  padding: .22rem .55rem; white-space: nowrap; display: inline-flex; gap: .35rem; align-items: center; }
.review .small:hover:not(:disabled), .review .act:hover:not(:disabled) { border-color: var(--color-accent); }
.review [hidden] { display: none !important; }
.review button:disabled { opacity: .45; cursor: default; }
.review .hint { color: var(--quiet); font-size: .85rem; }
.review code { font-family: var(--font-mono); font-size: .92em; overflow-wrap: anywhere; background: none; padding: 0; }
.review .label { display: inline-flex; gap: .35rem; align-items: center; }
.review .sign { width: 1.35em; height: 1.35em; font-size: .72em; }
.review .tick { display: inline-flex; gap: .4rem; align-items: center; cursor: pointer; }

.review .head { display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: center; padding: .5rem .9rem; border-bottom: 1px solid
  var(--line);
  background: var(--block-background-fill); }
.review .head h1 { font-size: 1.1rem; font-weight: 700; margin-right: auto; }
.review .head small { font-weight: 400; color: var(--quiet); }
.review .making { color: var(--quiet); font-size: .85rem; }
.review .reviewer { width: 9rem; }
.review .reviewer.missing { border-color: var(--warn); outline: 2px solid var(--warn); }

.review .body { display: grid; grid-template-columns: 15rem minmax(0, 1fr); align-items: start; }
.review .filters { position: sticky; top: 0; max-height: 100vh; overflow-y: auto; padding: .5rem .4rem 6rem .9rem; border-right: 1px solid
  var(--line);
  scrollbar-width: thin; box-sizing: border-box; }
.review .filters-head { display: flex; justify-content: space-between; align-items: center; }
.review .filters h2, .review .agreement h2 { font-size: 1rem; font-weight: 700; }
.review details { border-top: 1px solid var(--line); padding: .3rem 0 .35rem; margin-top: .3rem; }
.review summary { font-weight: 700; cursor: pointer; font-size: .85rem; }
.review summary::marker { color: var(--quiet); }
.review summary.chosen { color: var(--color-accent); }
.review details ul { max-height: 15.5rem; overflow-y: auto; scrollbar-width: thin; padding: .15rem 2px 0; }
.review details label { display: grid; grid-template-columns: auto 1fr auto; gap: .45rem; align-items: center; padding: .1rem .25rem;
  border-radius: 4px;
  cursor: pointer; font-size: .86rem; }
.review details label:hover { background: var(--background-fill-secondary); }
.review details .count { color: var(--quiet); font-variant-numeric: tabular-nums; font-size: .82rem; }
.review details label.none { opacity: .45; }
.review details input { accent-color: var(--color-accent); margin: 0; }
.review details span { overflow-wrap: anywhere; }

.review .found { min-width: 0; padding: .5rem .9rem 1rem; }
.review .tools { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; padding: 0 0 .5rem; position: sticky; top: 0;
  z-index: 5;
  background: var(--body-background-fill); padding-top: .2rem; }
.review .tools label { display: inline-flex; gap: .4rem; align-items: center; color: var(--quiet); }
.review .tools label select { color: var(--body-text-color); max-width: 13rem; }
.review .words { flex: 1 1 12rem; max-width: 20rem; min-width: 8rem; }
.review .total { margin-left: auto !important; font-weight: 700; }
.review .turn { display: inline-flex; gap: .5rem; align-items: center; font-variant-numeric: tabular-nums; }
.review .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: .55rem; }
.review .gallery { min-height: 60vh; align-content: start; transition: opacity .12s; }
.review [data-busy] .gallery { opacity: .6; }
.review .nothing { grid-column: 1 / -1; padding: 3rem 1rem; text-align: center; color: var(--quiet); }
.review .card { display: block; width: 100%; padding: 0 0 .2rem; border: 2px solid transparent; border-radius: 8px; background: none;
  text-align: left;
  font-size: .8rem; scroll-margin: 3.2rem 0 6rem; }
.review .card:hover .thumb { border-color: var(--color-accent); }
.review .card.current { border-color: var(--color-accent); background: color-mix(in srgb, var(--color-accent) 14%, transparent); }
.review .card > .label { padding: .1rem .3rem 0; max-width: 100%; }
.review .thumb { display: block; position: relative; aspect-ratio: 1; background: var(--film); border-radius: 6px; overflow: hidden;
  border: 1px solid var(--line); }
.review .thumb img { display: block; width: 100%; height: 100%; object-fit: contain; margin: 0; border-radius: 0; }
.review [data-dropped] .thumb img { opacity: .28; filter: contrast(.7); }
.review [data-dropped] > .label { text-decoration: line-through; color: var(--quiet); }
.review .gone { position: absolute; inset: auto 0 0; padding: .15rem .3rem; font-size: .72rem; color: #fff; background: #000a; }
.review .gone::before { content: "Dropped: "; font-weight: 700; }
.review .marks { position: absolute; top: 3px; right: 3px; display: flex; gap: 3px; flex-wrap: wrap; justify-content: flex-end; left: 3px; }
.review .mark { font-size: .68rem; line-height: 1.35; padding: 0 .3em; border-radius: 4px; background: #000b; color: #fff; }
.review .mark.suspect, .review .mark.flagged { background: #ffb454; color: #000; }
.review .mark.relabelled { background: #56B4E9; color: #000; }
.review .mark.confirmed { background: #2fd3a2; color: #000; }

.review .actions { position: sticky; bottom: 0; z-index: 10; display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center;
  padding: .45rem .9rem;
  border-top: 1px solid var(--line); background: var(--block-background-fill); }
.review .acts { display: flex; flex-wrap: wrap; gap: .35rem; align-items: center; }
.review .act[data-class] { border-left: 4px solid var(--mark); }
.review .act.is { background: color-mix(in srgb, var(--mark) 25%, var(--button-secondary-background-fill)); }
.review .gap { width: 1px; height: 1.5rem; background: var(--line); margin: 0 .3rem; }
.review .reason { width: 9.5rem; }
.review .subtype { max-width: 7.5rem; }
.review .said { flex: 1 1 60%; min-height: 1.3em; overflow-wrap: anywhere; }
.review .acts { flex: 1 0 100%; }
.review .said[data-kind=error] { color: var(--warn); font-weight: 700; }
.review .keys { color: var(--quiet); font-size: .82rem; white-space: nowrap; }
"""

_LARGE = """
.review dialog { border: 0; padding: 0; color: var(--body-text-color); background: var(--body-background-fill); }
.review dialog.large { width: 100vw; height: 100vh; max-width: none; max-height: none; margin: 0; }
.review dialog.large[open] { display: flex; flex-direction: column; }
.review dialog::backdrop { background: #000a; }
.review .large-body { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(0, 1fr) clamp(300px, 27vw, 400px); }
.review .stage { position: relative; min-width: 0; min-height: 0; background: var(--film); color: #d9dee7; display: flex; flex-direction:
  column; }
.review .films { flex: 1; min-height: 0; display: flex; }
.review .films figure { flex: 1 1 0; min-width: 0; display: flex; flex-direction: column; overflow: hidden; container-type: size;
  position: relative;
  cursor: zoom-in; touch-action: none; }
.review .films figure + figure:not([hidden]) { border-left: 1px solid #333a47; }
.review .film { --room: calc(100cqh - 1.9rem); --wide: calc(100cqw * var(--h, 1) / var(--w, 1)); position: absolute; left: 0; right: 0;
  top: calc((var(--room) - min(var(--room), var(--wide))) / 2); margin: 0 auto; transform-origin: 0 0;
  aspect-ratio: var(--w, 1) / var(--h, 1); width: min(100cqw, var(--room) * var(--w, 1) / var(--h, 1)); }
.review .film img { display: block; width: 100%; height: 100%; margin: 0; border-radius: 0; user-select: none; -webkit-user-drag: none; }
.review .film.no-picture::after { content: attr(data-why); position: absolute; inset: 0; display: grid; place-items: center; padding:
  1rem; text-align: center; }
.review .boxes i { position: absolute; border: 2px solid #ffb454; border-radius: 2px; box-shadow: 0 0 0 1px #000a; }
.review figcaption { position: absolute; inset: auto 0 0; padding: .3rem .7rem; font-size: .82rem; background: #0b0e14d9; color: #d9dee7;
  white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.review .stage-tools { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; padding: .4rem .7rem; background: #11151d; }
.review .stage-tools .small { background: #1d2430; border-color: #384152; color: #e7ebf2; }
.review .stage * { color: #d9dee7; }
.review .stage .sign { color: #000; }
.review .stage-tools kbd { background: #0b0e14; }
.review .at { margin: 0 auto 0 .5rem; font-variant-numeric: tabular-nums; }
.review .panel {
  overflow-y: auto; padding: .3rem .9rem 1rem; border-left: 1px solid var(--line); scrollbar-width: thin; }
.review .panel:focus-visible { outline: none !important; box-shadow: inset 3px 0 var(--color-accent); }
.review .panel section { padding: .6rem 0; border-bottom: 1px solid var(--line); }
.review .panel section:last-child { border: 0; }
.review .panel h3 { font-size: .8rem; font-weight: 700; color: var(--quiet); margin-bottom: .3rem; }
.review .panel .now { font-size: 1.15rem; font-weight: 700; }
.review .panel .now .sign { font-size: .8em; }
.review .warn { color: var(--body-text-color); border-left: 4px solid var(--warn); padding: .1rem .5rem !important; margin: .3rem 0
  !important;
  background: color-mix(in srgb, var(--warn) 14%, transparent); border-radius: 3px; }
.review .bars li { display: grid; grid-template-columns: 7rem 1fr 3.8rem; gap: .5rem; align-items: center; padding: .12rem 0; }
.review .bars .bar { height: .7rem; border-radius: 4px; background: var(--background-fill-secondary); overflow: hidden; }
.review .bars i { display: block; height: 100%; background: var(--mark); }
.review .bars b { text-align: right; font-weight: 400; font-variant-numeric: tabular-nums; font-size: .84rem; white-space: nowrap; }
.review .ask { margin-top: .4rem !important; }
.review .asked:not(:empty) { margin-top: .5rem; }
.review .copies { display: grid; gap: .4rem; }
.review .copies li { display: flex; gap: .5rem; align-items: center; justify-content: space-between; }
.review .copy { display: flex; gap: .6rem; align-items: center; border: 1px solid var(--line); border-radius: 6px; background: none;
  padding: 0 .5rem 0 0; text-align: left;
  overflow: hidden; flex: 1; min-width: 0; font-size: .82rem; }
.review .copy[aria-pressed=true] { border-color: var(--color-accent); box-shadow: 0 0 0 1px var(--color-accent); }
.review .copy img { width: 64px; height: 64px; object-fit: contain; background: var(--film); margin: 0; border-radius: 0; flex: none; }
.review .panel dl { display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); gap: .15rem .6rem; font-size: .85rem; }
.review .panel dt { color: var(--quiet); }
.review .panel dd { margin: 0; overflow-wrap: anywhere; }
.review .panel a { color: var(--link-text-color); text-decoration: underline; }
.review .panel table, .review .panel tr, .review .panel th, .review .panel td { border: 0 !important; }
.review .panel table { width: 100%; font-size: .83rem; border-collapse: collapse; }
.review .panel th, .review .panel td { text-align: left; font-weight: 400; padding: .08rem .3rem .08rem 0; vertical-align: top; border: 0; }
.review .panel tr:first-child td { color: var(--quiet); font-size: .78rem; }
.review .panel td:nth-child(2), .review .panel td:nth-child(3) { font-variant-numeric: tabular-nums; text-align: right; padding-right:
  .6rem; }
.review .panel tr.flagged th { font-weight: 700; }
.review .log { display: grid; gap: .15rem; font-size: .85rem; }
.review .log time { color: var(--quiet); font-size: .8rem; }
.review .log .undone { text-decoration: line-through; color: var(--quiet); }

.review dialog.agreement { position: fixed; inset: 0; height: fit-content; width: min(900px, 94vw); max-height: 88vh; border-radius: 10px;
  border: 1px solid var(--line);
  margin: auto !important; }
.review .agreement-head { display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: center; padding: .7rem 1rem; border-bottom: 1px
  solid var(--line);
  position: sticky; top: 0; background: var(--block-background-fill); z-index: 2; }
.review .agreement-head label { display: inline-flex; gap: .4rem; align-items: center; color: var(--quiet); }
.review .agreement-head [data-act] { margin-left: auto; }
.review .agreement-body { padding: 1rem; }
.review .agreement-body h3 { font-size: .95rem; font-weight: 700; margin: 1.1rem 0 .5rem; }
.review .kappa { font-size: 1.15rem; }
.review .kappa b { font-size: 1.7rem; margin: 0 .4rem; }
.review .kappa .span { color: var(--quiet); font-size: .95rem; }
.review .confusion { border-collapse: collapse; margin-top: .7rem; font-variant-numeric: tabular-nums; }
.review .confusion caption { caption-side: bottom; text-align: left; color: var(--quiet); font-size: .82rem; padding-top: .25rem; }
.review .confusion th, .review .confusion td { border: 1px solid var(--line); padding: .3rem .8rem; text-align: right; font-weight: 400; }
.review .confusion .same { background: color-mix(in srgb, var(--color-accent) 18%, transparent); font-weight: 700; }

@media (max-width: 1000px) {
  .review .body { grid-template-columns: 12.5rem minmax(0, 1fr); }
  .review .filters { padding-left: .5rem; }
  .review .found { padding: .4rem .5rem 1rem; }
}
@media (max-width: 700px) {
  .review .body, .review .large-body { grid-template-columns: minmax(0, 1fr); }
  .review .large-body { grid-template-rows: 55% 45%; }
  .review .filters { position: static; max-height: 40vh; border: 0; border-bottom: 1px solid var(--line); padding-bottom: .5rem; }
}
@media (prefers-reduced-motion: reduce) { .review * { transition: none !important; } }
"""

CSS = style.CSS + _PAGE + _LARGE

"""How reports look: on the screen, light or dark as the reader's system is, and on paper."""

# Series are told apart by colour (Okabe and Ito's, safe for the colour-blind), and by dashes or marker shape as well.
LIGHT = """
  --page: #ffffff; --panel: #f6f7f9; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0; --ground: #b9c0c8;
  --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #b0548f; --s4: #a87400; --s5: #4d5661;
  --good: #00704f; --fair: #8a5a00; --bad: #b3261e;"""
DARK = """
  --page: #14171b; --panel: #1d2126; --ink: #e8ebee; --soft: #a2abb5; --line: #363d45; --ground: #4a525c;
  --s0: #56b4e9; --s1: #ff9248; --s2: #35c79b; --s3: #e59cc6; --s4: #f0c04c; --s5: #b4bdc7;
  --good: #4fd1a5; --fair: #f0c04c; --bad: #ff8a80;"""

CSS = f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
* {{ box-sizing: border-box; }}
body {{
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  margin: 0; background: var(--page); color: var(--ink); -webkit-text-size-adjust: 100%;
}}
main {{ max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }}
.kind {{ color: var(--soft); font-size: .85rem; letter-spacing: .02em; margin: 0 0 .2rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.25; margin: 0 0 1.1rem; font-weight: 650; text-wrap: balance; }}
h2 {{ font-size: 1.15rem; margin: 2.4rem 0 .6rem; font-weight: 650; }}
p {{ margin: .5rem 0; max-width: 46rem; }}
.note {{ color: var(--soft); font-size: .9rem; }}
.verdict {{
  border-left: .3rem solid var(--mark); background: var(--panel); padding: .9rem 1.1rem; margin: 0 0 1.1rem;
  font-size: 1.08rem; border-radius: 0 .4rem .4rem 0;
}}
.verdict p {{ margin: 0; max-width: none; }}
.verdict b.mark {{ color: var(--mark); }}
.good {{ --mark: var(--good); }} .fair {{ --mark: var(--fair); }} .bad {{ --mark: var(--bad); }}
.plain {{ --mark: var(--s0); }}
.tiles {{
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .8rem; margin: 0 0 1.4rem;
}}
.tile {{ max-width: 22rem; border: 1px solid var(--line); border-radius: .4rem; padding: .65rem .85rem; }}
.tile b {{
  display: block; font-size: 1.5rem;
  font-weight: 620; line-height: 1.25; font-variant-numeric: tabular-nums;
}}
.tile b small {{ font-size: .62em; font-weight: 500; color: var(--soft); }}
.tile span {{ color: var(--soft); font-size: .88rem; line-height: 1.35; display: block; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .4rem 0; font-size: .95rem; }}
dt {{ color: var(--soft); }} dd {{ margin: 0; overflow-wrap: anywhere; }}
code {{ font: .88em ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .5rem 0; font-size: .93rem; font-variant-numeric: tabular-nums; }}
th, td {{
  padding: .32rem 1.1rem .32rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--line);
}}
th {{ color: var(--soft); font-weight: 500; }}
td.number, th.number {{ text-align: right; }}
td.ok::before, td.warn::before, td.fail::before {{ font-weight: 700; margin-right: .45em; }}
td.ok::before {{ content: "✓"; color: var(--good); }} td.warn::before {{ content: "!"; color: var(--fair); }}
td.fail::before {{ content: "✕"; color: var(--bad); }}
.panels {{
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, var(--width)), 1fr)); gap: .4rem 1.4rem;
}}
figure {{ margin: .6rem 0 0; }}
figcaption {{ font-size: .92rem; font-weight: 550; margin-bottom: .15rem; }}
.legend {{
  display: flex; flex-wrap: wrap; gap: .2rem 1.3rem;
  font-size: .88rem; color: var(--soft); margin: .5rem 0 0;
}}
.legend svg {{ width: 2rem; height: .8rem; vertical-align: -.08rem; margin-right: .35rem; }}
svg {{ display: block; width: 100%; max-width: 48rem; height: auto; overflow: visible; }}
.legend svg {{ display: inline-block; }}
svg.wide {{ min-width: 28rem; }}
svg text {{ font-size: 11px; fill: var(--soft); font-family: inherit; font-variant-numeric: tabular-nums; }}
svg .name {{ fill: var(--ink); font-size: 12px; }}
svg .grid {{ stroke: var(--line); stroke-width: .8; }}
svg .axis {{ stroke: var(--soft); stroke-width: .9; }}
svg .rule {{ stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 3; }}
svg .ground {{ fill: var(--ground); }}
svg .edge {{ stroke: var(--page); stroke-width: 1; }}
img, iframe {{ max-width: 100%; border: 1px solid var(--line); border-radius: .4rem; display: block; }}
iframe {{ width: 100%; background: var(--panel); }}
footer {{
  color: var(--soft); font-size: .85rem;
  margin-top: 2.8rem; border-top: 1px solid var(--line); padding-top: .8rem;
}}
@page {{ size: A4; margin: 14mm 15mm; }}
@media print {{
  :root {{ color-scheme: light; {LIGHT} --panel: #ffffff; }}
  html {{ font-size: 12.5px; }}
  body {{ font-size: 1rem; }}
  main {{ max-width: none; padding: 0; }}
  h2 {{ break-after: avoid; margin-top: 1.5rem; }}
  figure, .tile, .verdict, tr {{ break-inside: avoid; }}
  .verdict {{ border: 1px solid var(--line); border-left: .3rem solid var(--mark); print-color-adjust: exact; }}
  .tiles {{ grid-template-columns: repeat(4, 1fr); }}
  svg {{ print-color-adjust: exact; }}
  iframe, h2:has(+ iframe) {{ display: none; }}
}}
"""

// The style of exported pages: light and dark by the reader's choice, narrow and wide.

let pageStyle = """
  :root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--faint:#6a737d;--line:#d8dee4;--code:#f6f8fa;--link:#0a58ca;
  --k:#8250df;--s:#0a6b35;--n:#0550ae;--c:#6a737d;--m:#b35900;--d:#953800;--error:#b3261e;
  --t0:#24292f;--t1:#b3261e;--t2:#0a6b35;--t3:#8a6100;--t4:#0550ae;--t5:#8250df;--t6:#0b6e75;--t7:#6e7781}
  @media(prefers-color-scheme:dark){:root{--back:#0f1318;--text:#e6e9ec;--faint:#9aa4ae;--line:#30363d;--code:#171c22;--link:#6cb0ff;
  --k:#c9a2ff;--s:#7ee2a0;--n:#79b8ff;--c:#9aa4ae;--m:#ffb366;--d:#ffa977;--error:#ff8a80;
  --t0:#8b949e;--t1:#ff8a80;--t2:#7ee2a0;--t3:#e3c36b;--t4:#79b8ff;--t5:#c9a2ff;--t6:#6cd3da;--t7:#d0d7de}}
  *{box-sizing:border-box}
  body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
  main{max-width:54rem;margin:0 auto;padding:1rem 1rem 4rem}
  h1,h2,h3,h4{line-height:1.25;margin:1.6em 0 .5em}h1{margin-top:.6em}
  a{color:var(--link)}img,svg,video{max-width:100%;height:auto}
  pre,code{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:.875em}
  code{background:var(--code);border-radius:4px;padding:.1em .3em}pre code{background:none;padding:0}
  pre{margin:0;padding:.6rem .8rem;overflow-x:auto;line-height:1.4;tab-size:4}
  main>article>pre,blockquote pre,.md pre{background:var(--code);border-radius:6px}
  blockquote{margin:1em 0;padding:0 1em;border-left:4px solid var(--line);color:var(--faint)}
  table{border-collapse:collapse;display:block;overflow-x:auto;max-width:100%;margin:.6em 0}
  th,td{border:1px solid var(--line);padding:.25rem .6rem;text-align:left}
  .cell{margin:1rem 0}.in{background:var(--code);border:1px solid var(--line);border-radius:6px;position:relative}
  .in .count{position:absolute;right:.5rem;top:.3rem;font-size:.75em;color:var(--faint);user-select:none}
  .out{margin:.35rem 0 0;padding-left:.2rem;overflow-x:auto}.out pre{padding:.2rem .6rem;max-height:32rem;overflow-y:auto}
  .err pre,.stderr pre{border-left:3px solid var(--error)}.raw pre{color:var(--faint)}
  .k{color:var(--k)}.s{color:var(--s)}.n{color:var(--n)}.c{color:var(--c);font-style:italic}.m{color:var(--m)}.d{color:var(--d)}
  details{margin:.6em 0;border:1px solid var(--line);border-radius:6px;padding:.3em .8em}summary{cursor:pointer}
  @media print{.out pre{max-height:none}.cell{break-inside:avoid}}
  """

/** How a report looks: on paper-white and on dark, on a desk and on a phone. */

const LIGHT = `
--page:#fff;--ink:#222;--dim:#595959;--line:#ddd;--soft:#f5f5f5;--grid:#e4e4e4;
--acked:#2f6f4f;--median:#2f4f8f;--worst:#8f8f8f;--fault:#a32c2c;--band:#d9534f;--skipped:#777`;

const DARK = `
--page:#17191c;--ink:#e4e4e4;--dim:#a3a7ad;--line:#3b3f45;--soft:#23262b;--grid:#2d3136;
--acked:#6cc39a;--median:#8fb0ff;--worst:#7d828a;--fault:#ff9a92;--band:#e2645f;--skipped:#9a9a9a`;

export const STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
body{font:14px/1.45 system-ui,sans-serif;max-width:1080px;margin:24px auto;padding:0 16px}
body{color:var(--ink);background:var(--page)}
h1{font-size:24px}h2{font-size:18px;margin:28px 0 8px}h3{font-size:15px;margin:18px 0 4px}
h1 b{padding:2px 10px;border-radius:4px;color:#fff}
.pass{background:#2f6f4f}.fail{background:#a32c2c}.invalid{background:#8a6d1d}
p,li{overflow-wrap:anywhere}ul{padding-left:20px}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:8px 0}td,th{padding:3px 16px 3px 0;text-align:left}
th{color:var(--dim);font-weight:600;vertical-align:bottom}
td{border-top:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
td.number,td:first-child{white-space:nowrap}
.columns{columns:2;column-gap:48px;max-width:760px}.columns p{margin:0;break-inside:avoid}
.columns p{display:flex;justify-content:space-between;border-top:1px solid var(--line)}
.columns .broken{color:var(--fault);font-weight:600}
@media (max-width:600px){.columns{columns:1}td,th{padding-right:10px}h1{font-size:20px}}
svg{width:100%;min-width:760px;display:block;font:10px system-ui,sans-serif;fill:var(--ink)}
polyline{fill:none;stroke-width:1.3}
polyline.acked{stroke:var(--acked)}polyline.median{stroke:var(--median)}
polyline.worst{stroke:var(--worst)}
.axis{stroke:var(--dim);stroke-width:.5}.grid{stroke:var(--grid);stroke-width:.7}
.label{text-anchor:end;fill:var(--dim)}.title{fill:var(--dim)}.tick{text-anchor:middle}
.tick,.dim{fill:var(--dim)}
tspan.acked{fill:var(--acked)}tspan.median{fill:var(--median)}tspan.worst{fill:var(--worst)}
text.node{fill:#111;font-weight:600}
.fault rect{fill:var(--band);opacity:.18}.fault text{fill:var(--fault)}
.skipped rect,.indeterminate rect{fill:var(--skipped)}
.skipped text,.indeterminate text{fill:var(--skipped)}
pre{background:var(--soft);padding:8px;white-space:pre-wrap;overflow-wrap:anywhere}
pre{font:12px/1.5 ui-monospace,monospace}`;

// What the console's pages need beside htmx: the theme, copying, the state of the connection, and charts. Every page works without it.
(() => {
  "use strict";

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  // The theme: one press goes to the other one.
  const themeSwitch = document.querySelector("[data-theme-switch]");
  const nameTheme = () => {
    themeSwitch.querySelector(".said").textContent = isDark() ? "Use the light theme" : "Use the dark theme";
  };
  themeSwitch.hidden = false;
  nameTheme();
  themeSwitch.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    nameTheme();
    redrawCharts();
  });
  dark.addEventListener("change", () => { nameTheme(); redrawCharts(); });

  // Copying a line.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const line = document.getElementById(button.dataset.copy);
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(line.textContent.trim());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(line); // where a page may not copy, it selects
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = said; }, 1500);
  });

  // A choice that brings an amount along.
  document.addEventListener("change", (event) => {
    const select = event.target.closest("select[data-fills]");
    const amount = select?.selectedOptions[0]?.dataset.amount;
    const field = select?.form.elements[select.dataset.fills];
    if (amount && field) field.value = amount;
  }, true);

  // A form is sent once; sent twice it would count once all the same.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-once]")) return;
    for (const button of event.target.querySelectorAll("button[type=submit]")) button.setAttribute("aria-busy", "true");
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-once]")) {
      delete form.dataset.sent;
      form.querySelectorAll("button[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
    }
  });

  // The state of the connection of a page that is kept up to date.
  const live = document.querySelector("[data-live]");
  const told = document.getElementById("connection");
  const warning = document.getElementById("lost");
  const patience = 12000; // the console says something every few seconds
  let heard = Date.now();
  const tell = (state, words) => {
    if (told.dataset.state === state && told.textContent === words) return;
    told.dataset.state = state;
    told.textContent = words;
    told.hidden = false;
    warning.hidden = state !== "lost";
  };
  const alive = () => { heard = Date.now(); tell("live", "Live"); };
  const lost = (why) => { warning.textContent = `${why}. What is shown may be old; trying again…`; tell("lost", "Disconnected"); };
  if (live) {
    tell("waiting", "Connecting…");
    live.addEventListener("beat", alive);
    live.addEventListener("moved", () => { alive(); refreshCharts(); refreshDetails(); });
    live.addEventListener("trouble", (event) => lost(event.detail.data));
    document.addEventListener("htmx:sse:after:message", (event) => { if (!event.detail.message?.event) alive(); });
    document.addEventListener("htmx:sse:error", () => lost("The console does not answer"));
    setInterval(() => { if (!document.hidden && Date.now() - heard > patience) lost("The console does not answer"); }, 1000);
    document.addEventListener("visibilitychange", () => { heard = Date.now(); });
  }

  // An open transaction is read again when something moved.
  const refreshDetails = () => {
    for (const detail of document.querySelectorAll("details.txn[open] > .detail")) {
      htmx.ajax("GET", detail.getAttribute("hx-get"), { target: detail, swap: "innerMorph" });
    }
  };

  // Charts.
  const charts = [];
  const probe = document.body.appendChild(document.createElement("i")); // resolves a colour for the theme
  probe.hidden = true;
  const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
  const money = (data) => (value) => {
    if (value == null) return "–";
    const size = Math.abs(value / 10 ** data.exponent);
    const text = size.toLocaleString("en-GB", { minimumFractionDigits: data.exponent, maximumFractionDigits: data.exponent });
    return (value < 0 ? "−" : "") + data.symbol + text;
  };
  const shortMoney = (data) => (value) => {
    const size = Math.abs(value / 10 ** data.exponent);
    const text = size >= 10000 ? (size / 1000).toLocaleString("en-GB", { maximumFractionDigits: 1 }) + "k" : size.toLocaleString("en-GB", { maximumFractionDigits: 2 });
    return (value < 0 ? "−" : "") + (data.symbol.length === 1 ? data.symbol : "") + text; // a code would take the room of the amount
  };
  const pad = (n) => String(n).padStart(2, "0");
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const timeTicks = (_, splits, __, ___, step) => splits.map((at) => {
    const t = new Date(at * 1000);
    if (step >= 86400) return `${t.getDate()} ${months[t.getMonth()]}`;
    return `${pad(t.getHours())}:${pad(t.getMinutes())}` + (step < 60 ? `:${pad(t.getSeconds())}` : "");
  });
  const clock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

  const line = (label, name, extra) => ({ label, stroke: () => colour(name), width: 2, points: { show: false }, ...extra });
  const axis = (extra) => ({
    stroke: () => colour("muted"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false },
    font: "12px system-ui, sans-serif", ...extra,
  });
  const stepped = () => uPlot.paths.stepped({ align: 1 });

  const withholds = (data) => data.withheld.some((amount) => amount !== 0);
  const balanceRows = (data) => [data.available, data.posted, data.pending, ...(withholds(data) ? [data.withheld] : [])];

  // What each chart draws of its data: the values in the order of its lines.
  const kinds = {
    balances: {
      rows: (data) => [data.at.map((at) => at / 1000), ...balanceRows(data)],
      options: (data) => ({
        scales: { x: { time: true } },
        series: [{ value: (_, at) => (at == null ? "–" : clock.format(at * 1000)) }, ...balanceLines(data)],
        axes: [axis({ values: timeTicks, space: 70 }), axis({ size: 64, values: (_, all) => all.map(shortMoney(data)) })],
      }),
    },
    position: {
      rows: (data) => [data.position, ...balanceRows(data)],
      options: (data) => ({
        scales: { x: { time: false } },
        series: [{ label: "Event", value: (_, position) => (position == null ? "–" : String(position)) }, ...balanceLines(data)],
        axes: [axis({ values: (_, all) => all.map((position) => (Number.isInteger(position) ? position : "")) }), axis({ size: 64, values: (_, all) => all.map(shortMoney(data)) })],
        hooks: { draw: [markPosition] },
      }),
      made: (chart) => chart.over.addEventListener("click", () => {
        if (chart.cursor.idx == null) return;
        slider.value = chart.data[0][chart.cursor.idx];
        slider.dispatchEvent(new Event("input", { bubbles: true }));
      }),
    },
    rate: {
      rows: (data) => [data.at.map((at) => at / 1000), data.rate],
      options: () => ({
        scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
        series: [{ value: (_, at) => (at == null ? "–" : clock.format(at * 1000)) }, line("a second", "posted", { fill: () => colour("posted-faint"), value: (_, rate) => (rate == null ? "–" : rate.toFixed(1)) })],
        axes: [axis({ values: timeTicks, space: 70 }), axis({ size: 48 })],
      }),
    },
    latency: {
      rows: (data) => [data.at.map((at) => at / 1000), data.median, data.worst],
      options: () => ({
        scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
        series: [{ value: (_, at) => (at == null ? "–" : clock.format(at * 1000)) },
          line("half within", "posted", { value: (_, ms) => (ms == null ? "–" : `${ms.toFixed(1)} ms`) }),
          line("99 of 100 within", "pending", { value: (_, ms) => (ms == null ? "–" : `${ms.toFixed(1)} ms`) })],
        axes: [axis({ values: timeTicks, space: 70 }), axis({ size: 48, values: (_, all) => all.map((ms) => `${ms} ms`) })],
      }),
    },
  };
  const balanceLines = (data) => [
    line("Available", "available-ink", { paths: stepped(), value: (_, v) => money(data)(v), fill: () => colour("available-faint") }),
    line("Posted", "posted", { paths: stepped(), value: (_, v) => money(data)(v) }),
    line("Pending", "pending", { paths: stepped(), value: (_, v) => money(data)(v) }),
    ...(withholds(data) ? [line("Withheld", "withheld", { paths: stepped(), value: (_, v) => money(data)(v) })] : []),
  ];

  const slider = document.getElementById("position");
  const markPosition = (chart) => {
    const x = Math.round(chart.valToPos(Number(slider.value), "x", true));
    const { top, height } = chart.bbox;
    chart.ctx.save();
    chart.ctx.strokeStyle = colour("accent");
    chart.ctx.lineWidth = 2 * devicePixelRatio;
    chart.ctx.beginPath();
    chart.ctx.moveTo(x, top);
    chart.ctx.lineTo(x, top + height);
    chart.ctx.stroke();
    chart.ctx.restore();
  };

  // The chart and the names of its lines below it share the box.
  const fit = (one) => {
    const names = one.box.querySelector(".u-legend");
    one.chart?.setSize({ width: one.box.clientWidth, height: one.box.clientHeight - (names?.offsetHeight ?? 0) });
  };
  const draw = (one) => {
    const rows = one.kind.rows(one.data);
    one.chart?.destroy();
    one.chart = null;
    one.box.classList.toggle("bare", rows[0].length < 2);
    if (rows[0].length < 2) {
      one.box.innerHTML = '<p class="loading">The chart begins with the second point.</p>';
      return;
    }
    one.box.replaceChildren();
    const options = { width: one.box.clientWidth, height: one.box.clientHeight, cursor: { drag: { setScale: false, x: false, y: false } }, ...one.kind.options(one.data) };
    one.chart = new uPlot(options, rows, one.box);
    fit(one);
    one.kind.made?.(one.chart);
  };
  const read = async (one, after) => {
    const answer = await fetch(one.box.dataset.url + (after ? `?after=${after}` : ""));
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  };
  const start = async (box) => {
    const one = { box, kind: kinds[box.dataset.chart], chart: null, data: null };
    try {
      one.data = await read(one);
    } catch {
      box.innerHTML = '<p class="loading">The chart could not be read. It comes back with the connection.</p>';
    }
    charts.push(one);
    if (one.data) draw(one);
    new ResizeObserver(() => fit(one)).observe(box);
  };
  const lists = ["sequence", "position", "at", "limit", "posted", "pending", "withheld", "available"];
  const refresh = async (one) => {
    if (one.busy) { one.again = true; return; }
    one.busy = true;
    try {
      const more = await read(one, one.data?.last);
      if (one.data && one.data.last) {
        for (const name of lists) one.data[name] = one.data[name].concat(more[name] ?? []);
        one.data.last = more.last || one.data.last;
      } else {
        one.data = more;
      }
      const rows = one.kind.rows(one.data);
      if (one.chart?.series.length === rows.length) one.chart.setData(rows); else draw(one);
    } catch { /* the state of the connection is told elsewhere */ }
    one.busy = false;
    if (one.again) { one.again = false; refresh(one); }
  };
  const refreshCharts = () => charts.forEach(refresh);
  const redrawCharts = () => charts.forEach((one) => { if (one.data) draw(one); });
  document.querySelectorAll("[data-chart]").forEach(start);

  // Time travel: the slider, the mark in the chart and the event that is shown go together.
  if (slider) {
    const mark = () => charts.forEach((one) => one.chart?.redraw(false, false));
    slider.addEventListener("input", mark);
    document.addEventListener("htmx:after:swap", () => {
      const shown = document.querySelector("#moment .moment");
      if (!shown) return;
      if (slider.max !== shown.dataset.count) { // more has happened since
        slider.max = shown.dataset.count;
        refreshCharts();
      }
      if (document.activeElement === slider) return; // it is ahead of what is shown
      slider.value = shown.dataset.position;
      mark();
    });
  }
})();

"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = { g: 5, a: 10, r: 15, u: 2 };
  const WORDS = { g: "right at once", a: "right after a correction", r: "wrong", u: "not judged" };
  const byId = (id) => document.getElementById(id);

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function draw(tag, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  async function unpacked(node) {
    const bytes = Uint8Array.from(atob(node.textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // -- strips ---------------------------------------------------------------------------------

  function runs(text) {
    return [...text.matchAll(/(\d+)([garu])/g)].map(([, n, letter]) => [Number(n), letter]);
  }

  const length = (parts) => parts.reduce((sum, [n]) => sum + n, 0);

  // One path a letter: a rectangle a run would be 300,000 nodes for a million steps.
  function strip(episode, parts, longest) {
    const count = length(parts);
    const svg = draw("svg", { viewBox: `0 0 ${longest} 15`, preserveAspectRatio: "none", role: "img" });
    const told = { g: 0, a: 0, r: 0, u: 0 };
    const drawn = { g: "", a: "", r: "", u: "" };
    let at = 0;
    for (const [n, letter] of parts) {
      drawn[letter] += `M${at} 15h${n}v-${HEIGHT[letter]}h-${n}z`;
      told[letter] += n;
      at += n;
    }
    for (const [letter, d] of Object.entries(drawn)) if (d) svg.append(draw("path", { class: letter, d }));
    const words = Object.entries(told).filter(([, n]) => n).map(([k, n]) => `${n} ${WORDS[k]}`).join(", ");
    svg.setAttribute("aria-label", `${episode.arm}, episode ${episode.pair}: ${count} steps, ${words}`);
    if (episode.detail !== null) {
      svg.setAttribute("tabindex", "0");
      svg.setAttribute("role", "button");
      svg.addEventListener("click", (event) => {
        const box = svg.getBoundingClientRect();
        const index = Math.floor(((event.clientX - box.left) / box.width) * longest);
        open(episode, Math.min(count - 1, Math.max(0, index)));
      });
      svg.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(episode, 0); }
      });
    }
    const name = episode.stratum ? `${episode.stratum} ${episode.pair}` : String(episode.pair);
    return make("div", { class: "strip" }, make("span", { title: name }, name), svg);
  }

  // Steps along the strips: a mark every 10, or 100, ...
  function axis(longest) {
    const every = 10 ** Math.max(0, Math.ceil(Math.log10(longest / 12)));
    const marks = make("div");
    for (let at = every; at <= longest; at += every) {
      const mark = make("b", {}, String(at));
      mark.style.left = `${(100 * (at - 0.5)) / longest}%`;
      marks.append(mark);
    }
    return make("div", { class: "strip axis", "aria-hidden": "true" }, make("span", {}, "step"), marks);
  }

  async function strips() {
    const episodes = await unpacked(byId("strips"));
    const place = byId("episodes");
    const parts = new Map(episodes.map((e) => [e, runs(e.steps)]));
    const longest = episodes.reduce((most, e) => Math.max(most, length(parts.get(e))), 1);
    const arms = [...new Set(episodes.map((e) => e.arm))];
    for (const arm of arms) {
      const own = episodes.filter((e) => e.arm === arm);
      place.append(make("h3", { class: "arm" }, arm), ...own.map((e) => strip(e, parts.get(e), longest)), axis(longest));
    }
  }

  // -- one step -------------------------------------------------------------------------------

  const dialog = byId("step");
  const details = [...document.querySelectorAll("script.detail")];
  let shown = { episode: null, steps: [], index: 0, attempt: 0 };

  // Prompts are stored as their difference from the one before. Lengths count characters as
  // Python does, where a JavaScript string has two units for an emoji: hence arrays of them.
  function whole(steps) {
    const before = new Map();
    const text = (place, [begin, end, middle]) => {
      const old = before.get(place) ?? [];
      const now = [...old.slice(0, begin), ...middle, ...old.slice(old.length - end)];
      before.set(place, now);
      return now.join("");
    };
    return steps.map((s) => ({
      ...s,
      messages: s.m.map(([role, delta], i) => [role, text(`m${i}`, delta)]),
      prefix: text("p", s.p),
    }));
  }

  async function open(episode, index) {
    const steps = whole(await unpacked(details[episode.detail]));
    shown = { episode, steps, index: Math.min(index, steps.length - 1), attempt: 0 };
    if (!steps.length) return;
    select(shown.index);
    if (!dialog.open) dialog.showModal();
  }

  function select(index) {
    if (index < 0 || index >= shown.steps.length) return;
    shown.index = index;
    shown.attempt = shown.steps[index].a;
    render();
  }

  function pick(attempt) {
    const { t } = shown.steps[shown.index];
    if (attempt < 0 || attempt >= t.length) return;
    shown.attempt = attempt;
    render();
    byId("attempts").querySelectorAll(".attempt")[attempt].focus();
  }

  function render() {
    const step = shown.steps[shown.index];
    byId("step-title").textContent =
      `${shown.episode.arm}, episode ${shown.episode.pair}: step ${shown.index + 1} of ${shown.steps.length}` +
      (step.x ? " (no attempt passed; the best one was taken)" : "");
    byId("before").disabled = shown.index === 0;
    byId("after").disabled = shown.index === shown.steps.length - 1;
    byId("attempts").replaceChildren(...step.t.map((t, i) => attempt(t, i, step)));
    const sketch = step.t[shown.attempt].k;
    const chess = sketch !== null && sketch.kind === "chess";
    byId("board").parentNode.classList.toggle("alone", !chess);
    byId("board").replaceChildren(...(chess ? [board(sketch, step.t[shown.attempt].c === false)] : []));
    byId("chat").replaceChildren(
      ...step.messages.map(([role, text]) => make("div", { class: "message" }, make("b", {}, role), make("pre", {}, text))),
    );
    byId("plain").textContent = step.prefix;
  }

  function attempt(t, i, step) {
    const truth = t.c === null ? "not judged" : t.c ? "right" : `wrong${t.e ? ` (${t.e})` : ""}`;
    const node = make(
      "button",
      { class: "attempt", type: "button", "data-truth": t.c, "aria-pressed": i === shown.attempt },
      make("strong", {}, t.w || "(nothing)"), make("br"),
      make("small", {}, `attempt ${i + 1}${i === step.a ? ", accepted" : ""} · oracle: ${truth} · ${t.n} tokens · ${t.s} s`),
    );
    for (const [verifier, outcome, critique] of t.v) {
      node.append(make("p", { class: "verdict" }, make("small", {}, `${verifier}: ${outcome} `), make("span", { class: "critique" }, critique)));
    }
    node.addEventListener("click", () => pick(i));
    return node;
  }

  // -- a chessboard ---------------------------------------------------------------------------

  function centre(square) {
    return [(square.charCodeAt(0) - 97) * 45 + 37.5, (8 - Number(square[1])) * 45 + 37.5];
  }

  function board(sketch, wrong) {
    const svg = draw("svg", { viewBox: "0 0 390 390", role: "img", "aria-label": `Position ${sketch.fen}` });
    const colour = wrong ? "var(--bad)" : "var(--accent)";
    sketch.fen.split(" ")[0].split("/").forEach((row, y) => {
      let x = 0;
      const cells = row.replace(/\d/g, (n) => ".".repeat(Number(n)));
      for (const letter of cells) {
        const dark = (x + y) % 2 === 1;
        svg.append(draw("rect", { x: 15 + 45 * x, y: 15 + 45 * y, width: 45, height: 45, style: `fill: var(--${dark ? "dark" : "light"}-square)` }));
        if (letter !== ".") svg.append(draw("use", { href: `#piece-${letter}`, x: 15 + 45 * x, y: 15 + 45 * y, width: 45, height: 45 }));
        x += 1;
      }
    });
    for (let i = 0; i < 8; i += 1) {
      const style = "font: 11px system-ui, sans-serif; fill: var(--soft); text-anchor: middle";
      svg.append(draw("text", { x: 37.5 + 45 * i, y: 387, style }, "abcdefgh"[i]), draw("text", { x: 7, y: 41 + 45 * i, style }, String(8 - i)));
    }
    if (sketch.to && !sketch.from) {
      const [x, y] = centre(sketch.to);
      svg.append(draw("circle", { class: "move", cx: x, cy: y, r: 19, style: `fill: none; stroke: ${colour}; stroke-width: 5` }));
    } else if (sketch.to) {
      const [x1, y1] = centre(sketch.from);
      const [x2, y2] = centre(sketch.to);
      const length = Math.hypot(x2 - x1, y2 - y1) || 1;
      const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
      const [bx, by] = [x2 - 16 * dx, y2 - 16 * dy];
      svg.append(
        draw("line", { class: "move", x1, y1, x2: bx, y2: by, style: `stroke: ${colour}; stroke-width: 7; stroke-linecap: round; opacity: 0.85` }),
        draw("polygon", { points: `${x2},${y2} ${bx - 11 * dy},${by + 11 * dx} ${bx + 11 * dy},${by - 11 * dx}`, style: `fill: ${colour}; opacity: 0.95` }),
      );
    }
    return svg;
  }

  // -- keys and buttons -----------------------------------------------------------------------

  byId("before").addEventListener("click", () => select(shown.index - 1));
  byId("after").addEventListener("click", () => select(shown.index + 1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  // On the document: a step that is drawn anew takes the focus with it.
  document.addEventListener("keydown", (event) => {
    if (!dialog.open) return;
    const act = {
      ArrowLeft: () => select(shown.index - 1), ArrowRight: () => select(shown.index + 1),
      ArrowUp: () => pick(shown.attempt - 1), ArrowDown: () => pick(shown.attempt + 1),
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  strips();
})();

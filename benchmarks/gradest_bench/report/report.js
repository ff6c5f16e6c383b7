// Sorting, filtering, tips and legends of a report. Everything is readable without it.
"use strict";
(() => {
  const tip = document.getElementById("tip");

  const place = (x, y) => {
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 6)) + "px";
    tip.style.top = (y + box.height + 24 > innerHeight ? y - box.height - 12 : y + 16) + "px";
  };
  const show = (mark, x, y) => {
    tip.textContent = mark.dataset.tip;
    tip.style.display = "block";
    place(x, y);
  };
  const markOf = (event) => event.target.closest && event.target.closest("[data-tip]");
  document.addEventListener("pointermove", (event) => {
    const mark = markOf(event);
    if (mark) show(mark, event.clientX, event.clientY);
    else tip.style.display = "none";
  });
  document.addEventListener("pointerdown", (event) => {
    const mark = markOf(event);
    if (mark) show(mark, event.clientX, event.clientY);
  });
  document.addEventListener("focusin", (event) => {
    const mark = markOf(event);
    if (!mark) return;
    const box = mark.getBoundingClientRect();
    show(mark, box.right, box.bottom);
  });
  document.addEventListener("focusout", () => { tip.style.display = "none"; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.style.display = "none"; });

  for (const figure of document.querySelectorAll("figure")) {
    const buttons = [...figure.querySelectorAll(".legend button")];
    const redraw = () => {
      const off = (kind) => new Set(
        buttons.filter((b) => b.dataset.kind === kind && b.getAttribute("aria-pressed") === "false").map((b) => b.value));
      const names = off("name"), variants = off("variant");
      for (const series of figure.querySelectorAll(".series"))
        series.classList.toggle("off", names.has(series.dataset.name) || variants.has(series.dataset.variant));
    };
    for (const button of buttons) button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "false" ? "true" : "false");
      redraw();
    });
    // twice on an entry shows it alone, and twice again all of its kind
    for (const button of buttons) button.addEventListener("dblclick", () => {
      const others = buttons.filter((b) => b.dataset.kind === button.dataset.kind && b !== button);
      const alone = others.every((b) => b.getAttribute("aria-pressed") === "false");
      button.setAttribute("aria-pressed", "true");
      for (const other of others) other.setAttribute("aria-pressed", alone ? "true" : "false");
      redraw();
    });
    // what is pointed at, in the plot or in the legend, stands out from the rest
    const plot = figure.querySelector(".plot"), all = [...figure.querySelectorAll(".series")];
    const point = (near) => {
      plot.classList.toggle("pointed", near.length > 0);
      for (const series of all) series.classList.toggle("near", near.includes(series));
    };
    for (const series of all) {
      series.addEventListener("pointerenter", () => point([series]));
      series.addEventListener("pointerleave", () => point([]));
    }
    for (const button of buttons) {
      button.addEventListener("pointerenter", () => point(all.filter((s) => s.dataset[button.dataset.kind] === button.value)));
      button.addEventListener("pointerleave", () => point([]));
    }
  }

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value;
    return raw === undefined ? cell.textContent : raw === "" ? NaN : Number(raw);
  };
  const compare = (a, b) => {
    if (typeof a === "number" || typeof b === "number") {
      if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1; // what has no number comes last, whatever the order
      if (Number.isNaN(b)) return -1;
      return a - b;
    }
    return a.localeCompare(b, "en", { numeric: true });
  };
  // a spreadsheet carries out a text that begins so; a number that is below zero is none
  const harmless = (text) => (/^ *[=+\-@\t\r\n]/.test(text) && text.trim().length > 1 && Number.isNaN(Number(text)) ? "'" + text : text);
  const quoted = (text) => (/[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);

  for (const block of document.querySelectorAll(".table")) {
    const table = block.querySelector("table"), body = table.tBodies[0];
    const filter = block.querySelector("input"), count = block.querySelector("output");
    const rows = [...body.rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const refresh = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => word.startsWith("-") && word.length > 1
          ? !texts.get(row).includes(word.slice(1)) : texts.get(row).includes(word));
        shown += !row.hidden;
      }
      count.textContent = `${shown} of ${rows.length} rows`;
    };
    filter.addEventListener("input", refresh);
    [...table.tHead.rows[0].cells].forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [valueOf(row, column), row]);
      keyed.sort(([a], [b]) => {
        const missing = Number.isNaN(a) || Number.isNaN(b);
        return compare(a, b) * (down && !missing ? -1 : 1);
      });
      body.append(...keyed.map(([, row]) => row));
    }));
    block.querySelector(".csv").addEventListener("click", () => {
      const lines = [table.tHead.rows[0], ...[...body.rows].filter((row) => !row.hidden)].map((row) =>
        [...row.cells].map((cell) => quoted(harmless(cell.dataset.value ?? cell.textContent))).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
      link.download = block.dataset.name + ".csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
    refresh();
  }
})();

// Filters, sorts and pages the tables, and saves them as CSV. Without it a table shows all its rows as they stand.
(() => {
  const PAGE = 200; // as many as stand in the table itself
  const MANY = 1000, PAUSE = 150;

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value;
    return raw === undefined ? cell.textContent : raw === "" ? NaN : Number(raw);
  };
  const letters = new Intl.Collator("en", { numeric: true }); // made once: localeCompare makes one each time
  const compare = (a, b) => {
    if (typeof a === "number" || typeof b === "number") {
      if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1; // what has no number comes last, whatever the order
      if (Number.isNaN(b)) return -1;
      return a === b ? 0 : a - b; // the difference of two infinite errors is no number
    }
    return letters.compare(a, b);
  };
  // a spreadsheet carries out a text that begins so; a number that is below zero is none
  const harmless = (text) => (/^ *[=+\-@\t\r\n]/.test(text) && text.trim().length > 1 && Number.isNaN(Number(text)) ? "'" + text : text);
  const quoted = (text) => (/[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);

  const tend = (block) => {
    const name = block.dataset.name, table = block.querySelector("table"), body = table.tBodies[0];
    const filter = block.querySelector("input"), count = block.querySelector("output");
    const heads = [...table.tHead.rows[0].cells], rows = [...body.rows], total = Number(block.dataset.rows);
    let ordered = rows, shown = rows, first = 0, texts = null;

    // Rows beyond the first page are text to a browser that runs scripts: they become elements when they are needed.
    const complete = () => {
      const rest = block.querySelector("noscript");
      if (!rest) return;
      const made = document.createElement("template");
      made.innerHTML = rest.textContent;
      rest.remove();
      rows.push(...made.content.querySelectorAll("tr"));
      ordered = shown = rows;
    };

    const pager = document.createElement("span"), buttons = ["‹", "›"].map((sign, onward) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = sign;
      button.setAttribute("aria-label", onward ? "next rows" : "rows before");
      button.addEventListener("click", () => { complete(); first += onward ? PAGE : -PAGE; draw(); });
      return button;
    });
    pager.className = "pager";
    pager.append(...buttons);
    count.after(pager);
    // rows that are not seen are taken out: a browser lays out each one that it has, hidden or not
    const draw = () => {
      first = Math.max(0, first < shown.length ? first : 0);
      const found = shown === rows ? total : shown.length, last = Math.min(first + PAGE, found);
      body.replaceChildren(...shown.slice(first, last));
      const part = found > PAGE ? `rows ${first + 1} to ${last} of ` : "";
      count.textContent = `${part}${found} of ${total} rows`;
      pager.hidden = found <= PAGE;
      buttons[0].disabled = first === 0;
      buttons[1].disabled = last === found;
    };
    const refresh = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length) complete();
      if (words.length && texts === null) texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
      const wanted = (row) => words.every((word) => word.startsWith("-") && word.length > 1
        ? !texts.get(row).includes(word.slice(1)) : texts.get(row).includes(word));
      shown = words.length ? ordered.filter(wanted) : ordered;
      first = 0;
      view.set("filter." + name, filter.value.trim());
      draw();
    };
    let waiting = 0;
    filter.addEventListener("input", () => {
      clearTimeout(waiting);
      if (total < MANY) refresh();
      else waiting = setTimeout(refresh, PAUSE); // a word is typed letter by letter
    });
    const sort = (column, down) => {
      complete();
      for (const other of heads) other.removeAttribute("aria-sort");
      heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = ordered.map((row) => [valueOf(row, column), row]);
      keyed.sort(([a], [b]) => compare(a, b) * (down && !(Number.isNaN(a) || Number.isNaN(b)) ? -1 : 1));
      ordered = keyed.map(([, row]) => row);
      view.set("sort." + name, (down ? "-" : "") + (column + 1));
    };
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      sort(column, head.getAttribute("aria-sort") === "ascending");
      refresh();
    }));
    block.querySelector(".csv").addEventListener("click", () => {
      complete();
      const lines = [table.tHead.rows[0], ...shown].map((row) =>
        [...row.cells].map((cell) => quoted(harmless(cell.dataset.value ?? cell.textContent))).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
      link.download = name + ".csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });

    const asked = Number(view.get("sort." + name));
    filter.value = view.get("filter." + name);
    if (Number.isInteger(asked) && heads[Math.abs(asked) - 1]) sort(Math.abs(asked) - 1, asked < 0);
    refresh();
  };
  for (const block of document.querySelectorAll(".table")) tend(block);
})();

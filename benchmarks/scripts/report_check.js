// Uses a page as its reader would, and leaves what was seen in its title; put into the page by `report_check.py`.
// Timers go on in virtual time: a wait is a pause for the page's own, and takes none.
(async () => {
  const seen = { errors: window.seenErrors };
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  const type = async (input, words) => { input.value = words; input.dispatchEvent(new Event("input")); await wait(400); };
  const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));

  seen.wide = document.documentElement.scrollWidth <= innerWidth + 1;
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:"));
  const block = document.querySelector(".table"), input = block.querySelector("input");
  const shown = () => [...block.querySelectorAll("tbody tr")];
  const heads = [...block.querySelectorAll("th")];
  seen.rows = block.querySelector("output").textContent;
  seen.present = shown().length;
  const words = shown()[0].cells[0].textContent.split(" ")[0].toLowerCase();
  await type(input, words);
  seen.filtered = shown().length > 0 && shown().every((row) => row.textContent.toLowerCase().includes(words));
  await type(input, "-" + words);
  seen.excluded = shown().every((row) => !row.textContent.toLowerCase().includes(words));
  await type(input, "");
  const column = [...shown()[0].cells].findIndex((cell) => cell.dataset.value);
  const values = () => shown().map((row) => row.cells[column].dataset.value).filter(Boolean).map(Number);
  const ordered = (found, sign) => found.every((value, k) => k === 0 || sign * (value - found[k - 1]) >= 0);
  heads[column].querySelector("button").click();
  seen.ascending = ordered(values(), 1);
  heads[column].querySelector("button").click();
  seen.descending = ordered(values(), -1);
  const next = block.querySelector('[aria-label="next rows"]');
  const before = shown()[0];
  next.click();
  seen.paged = next.parentElement.hidden || shown()[0] !== before;

  const figure = [...document.querySelectorAll("figure")].find((one) => one.offsetParent !== null); // not folded away
  if (figure) {
    const buttons = [...figure.querySelectorAll(".legend button")], off = () => figure.querySelectorAll(".series.off").length;
    const scale = figure.querySelector('[data-scale="y"]'), mark = figure.querySelector(".mark");
    buttons[0].click();
    seen.off = off() > 0;
    buttons[0].click();
    seen.on = off() === 0;
    press(buttons[0], "s");
    const left = [...figure.querySelectorAll(".series:not(.off):not([data-style])")]; // a dashed line has a switch of its own
    seen.alone = left.length > 0 && left.every((series) => series.dataset[buttons[0].dataset.kind] === buttons[0].value);
    press(buttons[0], "s");
    seen.together = off() === 0;
    mark.focus();
    mark.dispatchEvent(new FocusEvent("focusin", { bubbles: true })); // a window without the focus sends none
    seen.tip = document.getElementById("tip").textContent === mark.getAttribute("aria-label");
    press(mark, "Escape");
    seen.hidden = document.getElementById("tip").style.display === "none";
    seen.reached = figure.querySelectorAll('.mark[tabindex="0"]').length === 1;
    // rounded: a script writes 90 where the page had 90.00
    const places = () => [...figure.querySelectorAll(".mark")].flatMap((one) =>
      one.getAttribute("transform").match(/[\d.]+/g).map((number) => Math.round(Number(number)))).join();
    const once = places();
    scale.click();
    seen.linear = places() !== once && figure.querySelectorAll('[data-axis="y"][data-made] text').length > 2;
    const tall = [...figure.querySelectorAll(".mark")].map((one) => Number(one.getAttribute("transform").split(" ")[1].slice(0, -1)));
    const [, top, , bottom] = figure.querySelector("svg").dataset.frame.split(" ").map(Number);
    seen.inside = tall.every((y) => y >= top - 1 && y <= bottom + 1);
    scale.click();
    seen.back = places() === once && figure.querySelectorAll("[data-made]").length === 0;
    scale.click();
    buttons[0].click();
    await type(input, words);
    seen.address = location.hash;
    const saved = [], parts = new Map();
    const make = URL.createObjectURL, Plain = Blob;
    window.Blob = class extends Plain { constructor(text, type) { super(text, type); parts.set(this, text.join("")); } };
    URL.createObjectURL = (blob) => { saved.push(blob); return make.call(URL, blob); };
    HTMLAnchorElement.prototype.click = () => {}; // a download of a page that is only looked at goes nowhere
    for (const kind of ["SVG", "PNG"]) figure.querySelector(`[data-image="${kind}"]`).click();
    // an image is drawn in real time, of which little passes in each pause: there may have to be many
    for (let k = 0; k < 10000 && saved.length < 2; k += 1) await wait(50);
    seen.saved = saved.map((blob) => blob.type + (blob.size > 2000 ? "" : " empty"));
    const svg = parts.get(saved.find((blob) => blob.type.startsWith("image/svg")));
    const picture = new DOMParser().parseFromString(svg, "image/svg+xml");
    seen.picture = !picture.querySelector("parsererror") && picture.documentElement.textContent.includes(figure.querySelector("h3").textContent);
    document.querySelector(".table .csv").click();
    seen.csv = saved.some((blob) => blob.type === "text/csv");
  }
  document.title = "seen:" + JSON.stringify(seen);
})();

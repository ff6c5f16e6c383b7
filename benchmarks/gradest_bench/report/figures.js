// Legends, tips and keys of figures. Everything is readable without it.
(() => {
  const tip = document.getElementById("tip");
  const place = (x, y) => {
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 6)) + "px";
    tip.style.top = (y + box.height + 24 > innerHeight ? y - box.height - 12 : y + 16) + "px";
  };
  const show = (mark, x, y) => {
    tip.textContent = mark.getAttribute("aria-label");
    tip.style.display = "block";
    place(x, y);
  };
  const hide = () => { tip.style.display = "none"; };
  const markOf = (event) => (event.target.closest ? event.target.closest(".mark[aria-label]") : null);
  for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, (event) => {
    const mark = markOf(event);
    if (mark) show(mark, event.clientX, event.clientY);
    else hide();
  });
  document.addEventListener("focusin", (event) => {
    const mark = markOf(event);
    if (!mark) return;
    const box = mark.getBoundingClientRect();
    show(mark, box.right, box.bottom);
  });
  document.addEventListener("focusout", hide);

  // Legends: an entry switches its series off and on; twice on it, or "s", shows it alone of its kind.
  const buttonsOf = (figure) => [...figure.querySelectorAll(".legend button")];
  const isOff = (button) => button.getAttribute("aria-pressed") === "false";
  const press = (button, on) => button.setAttribute("aria-pressed", on ? "true" : "false");
  const isOf = (series, button) => series.dataset[button.dataset.kind] === button.value;
  const redraw = (figure) => {
    const buttons = buttonsOf(figure), off = buttons.filter(isOff);
    for (const series of figure.querySelectorAll(".series"))
      series.classList.toggle("off", off.some((button) => isOf(series, button)));
    view.set("off." + figure.id, off.map((button) => buttons.indexOf(button)).join(" "));
  };
  const alone = (figure, button) => {
    const others = buttonsOf(figure).filter((b) => b.dataset.kind === button.dataset.kind && b !== button);
    const already = !isOff(button) && others.every(isOff);
    press(button, true);
    for (const other of others) press(other, already);
    redraw(figure);
  };
  const entryOf = (event) => (event.target.closest ? event.target.closest(".legend button") : null);
  document.addEventListener("click", (event) => {
    const button = entryOf(event);
    if (!button) return;
    press(button, isOff(button));
    redraw(button.closest("figure"));
  });
  document.addEventListener("dblclick", (event) => {
    const button = entryOf(event);
    if (button) alone(button.closest("figure"), button);
  });

  // Marks: one of a figure is reached by the tabulator; arrows go on from it, along its series and to the next one.
  const step = (mark, key) => {
    const along = key === "ArrowRight" || key === "ArrowLeft", onward = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
    const series = mark.closest(".series"), own = [...series.querySelectorAll(".mark")];
    if (along) return own[own.indexOf(mark) + onward];
    const all = [...series.parentElement.querySelectorAll(".series:not(.off)")].filter((s) => s.querySelector(".mark"));
    const next = all[all.indexOf(series) + onward];
    const marks = next ? [...next.querySelectorAll(".mark")] : [];
    return marks[Math.min(own.indexOf(mark), marks.length - 1)];
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    const button = entryOf(event), mark = markOf(event);
    if (button && event.key.toLowerCase() === "s" && !event.ctrlKey && !event.metaKey) alone(button.closest("figure"), button);
    if (!mark || !event.key.startsWith("Arrow")) return;
    const next = step(mark, event.key);
    if (!next) return;
    event.preventDefault(); // an arrow would scroll the page as well
    mark.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  // What is pointed at, in the plot or in the legend, stands out from the rest.
  const point = (figure, near) => {
    figure.querySelector(".plot").classList.toggle("pointed", near !== null);
    for (const series of figure.querySelectorAll(".series")) series.classList.toggle("near", near !== null && near(series));
  };
  for (const [kind, into] of [["pointerover", true], ["pointerout", false]]) document.addEventListener(kind, (event) => {
    const button = entryOf(event), series = event.target.closest ? event.target.closest(".series") : null;
    if (button) point(button.closest("figure"), into ? (one) => isOf(one, button) : null);
    else if (series) point(series.closest("figure"), into ? (one) => one === series : null);
  });

  for (const figure of document.querySelectorAll("figure")) {
    const off = view.get("off." + figure.id);
    if (!off) continue;
    const buttons = buttonsOf(figure);
    for (const number of off.split(" ")) if (buttons[number]) press(buttons[number], false);
    redraw(figure);
  }
})();
